//! stub
use std::sync::Arc;
use super::Agent;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct ApiError;
pub struct ApiServer;
impl ApiServer { pub async fn start(_: &wovenet_config::api::Api, _: Arc<dyn Agent>, _: Option<crate::peer::SiteKey>) -> Result<Self, ApiError> { Ok(Self) } pub async fn shutdown(self) {} }
pub struct HealthServer;
impl HealthServer { pub async fn start(_: std::net::SocketAddr, _: Arc<dyn Agent>, _: prometheus::Registry) -> Result<Self, ApiError> { Ok(Self) } pub async fn shutdown(self) {} }
pub fn openapi_json() -> String { String::new() }
