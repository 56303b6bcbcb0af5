//! Changes the configuration, one change at a time, so that none is lost.
//!
//! A change is a function from the running document to the next one. It goes on when its client leaves: an agent is never
//! left with half of it.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use wovenet_config::Document;

use super::agent::{Agent, Applied, Origin};
use super::refusal::Refusal;

/// Changes that wait for the one in progress.
const WAITING_MAX: usize = 16;

type Edit = Box<dyn FnOnce(&Document) -> Result<Document, Refusal> + Send>;

struct Change {
    edit: Edit,
    origin: Origin,
    reply: oneshot::Sender<Result<Applied, Refusal>>,
}

/// The actor that owns the right to change.
pub(super) struct Editor {
    agent: Arc<dyn Agent>,
    inbox: mpsc::Receiver<Change>,
    stop: CancellationToken,
}

/// Hands changes to the [`Editor`].
#[derive(Clone)]
pub(super) struct EditorHandle(mpsc::Sender<Change>);

impl Editor {
    pub fn new(agent: Arc<dyn Agent>, stop: CancellationToken) -> (Self, EditorHandle) {
        let (sender, inbox) = mpsc::channel(WAITING_MAX);
        (Self { agent, inbox, stop }, EditorHandle(sender))
    }

    /// Runs until stopped; a change in progress is finished.
    pub async fn run(mut self) {
        loop {
            let change = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                change = self.inbox.recv() => change,
            };
            let Some(Change { edit, origin, reply }) = change else { return };
            // Nobody waits for the answer any more when the client left.
            reply.send(self.change(edit, origin).await).ok();
        }
    }

    async fn change(&self, edit: Edit, origin: Origin) -> Result<Applied, Refusal> {
        let document = edit(&self.agent.document())?;
        self.agent.apply(document, origin).await.map_err(Refusal::from)
    }
}

impl EditorHandle {
    /// Applies what `edit` makes of the document that is running when its turn comes.
    pub async fn change(
        &self,
        origin: Origin,
        edit: impl FnOnce(&Document) -> Result<Document, Refusal> + Send + 'static,
    ) -> Result<Applied, Refusal> {
        let gone = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the agent is going away");
        let (reply, answer) = oneshot::channel();
        let change = Change { edit: Box::new(edit), origin, reply };
        self.0.send(change).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
