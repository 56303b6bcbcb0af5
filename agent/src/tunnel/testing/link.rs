//! A link in memory with delay and loss, under the paused clock of the test's runtime.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use tokio::time::{Instant, Sleep, sleep_until};

/// Datagrams on their way to one end.
#[derive(Debug, Default)]
struct Pipe {
    datagrams: VecDeque<(Instant, Vec<u8>)>,
    receiver: Option<Waker>,
    random: u64,
}

impl Pipe {
    fn is_lost(&mut self, share: f64) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random >> 11) as f64 / (1u64 << 53) as f64) < share
    }
}

/// One end of a link, as a socket.
#[derive(Debug)]
pub(crate) struct LinkEnd {
    address: SocketAddr,
    delay: Duration,
    loss: f64,
    out: Arc<Mutex<Pipe>>,
    into: Arc<Mutex<Pipe>>,
    due: Mutex<Option<Pin<Box<Sleep>>>>,
}

/// Makes both ends of a link that delays each datagram and loses a share of them.
pub(crate) fn link(delay: Duration, loss: f64) -> [Arc<LinkEnd>; 2] {
    let pipe = |seed| Arc::new(Mutex::new(Pipe { random: seed, ..Pipe::default() }));
    let (there, back) = (pipe(0x9e37_79b9_7f4a_7c15), pipe(0xc2b2_ae3d_27d4_eb4f));
    let end = |port, out: &Arc<Mutex<Pipe>>, into: &Arc<Mutex<Pipe>>| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Arc::new(LinkEnd { address, delay, loss, out: out.clone(), into: into.clone(), due: Mutex::new(None) })
    };
    [end(1, &there, &back), end(2, &back, &there)]
}

impl AsyncUdpSocket for LinkEnd {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        let mut pipe = self.out.lock();
        if !pipe.is_lost(self.loss) {
            pipe.datagrams.push_back((Instant::now() + self.delay, transmit.contents.to_vec()));
            if let Some(receiver) = pipe.receiver.take() {
                receiver.wake();
            }
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = self.into.lock();
        let mut count = 0;
        while count < buffers.len().min(meta.len())
            && let Some((_, datagram)) = pipe.datagrams.pop_front_if(|(due, _)| *due <= Instant::now())
        {
            buffers[count][..datagram.len()].copy_from_slice(&datagram);
            let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 3 - self.address.port()));
            let len = datagram.len();
            meta[count] = RecvMeta { addr: from, len, stride: len, ecn: None, dst_ip: None };
            count += 1;
        }
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        pipe.receiver = Some(context.waker().clone());
        let mut due = self.due.lock();
        *due = pipe.datagrams.front().map(|(due, _)| Box::pin(sleep_until(*due)));
        if due.as_mut().is_some_and(|due| AsyncTimer::poll(due.as_mut(), context).is_ready()) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The runtime of the test, with its clock.
#[derive(Debug)]
pub(crate) struct VirtualTime;

impl Runtime for VirtualTime {
    fn new_timer(&self, at: std::time::Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        TokioRuntime.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}
