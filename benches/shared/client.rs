//! A client of the service: one keep-alive connection, as little around it as possible.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::http::request::Builder;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No request takes so long, however busy the machine is.
const TOO_LONG: Duration = Duration::from_mins(1);

/// Where events go, and as whom.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// The API key.
    pub key: String,
}

/// What came of a request.
pub enum Answer {
    /// Every event of it is durable.
    Acknowledged,
    /// Not everything was taken in, and this is why: to be sent again.
    Later(String),
}

#[derive(Deserialize)]
struct Report {
    accepted: usize,
    #[serde(default)]
    rejected: Vec<serde_json::Value>,
}

pub struct Client {
    target: Target,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub async fn connect(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self {
            target: target.clone(),
            sender,
        })
    }

    /// Sends so many events. Fails unless all are acknowledged, or there is no room for them now.
    pub async fn post(&mut self, body: Bytes, events: usize) -> Result<Answer> {
        let request = Request::post("/v1/audit/events")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.target.key));
        let (status, said) = self.exchange(request, body).await?;
        match status {
            StatusCode::CREATED | StatusCode::ACCEPTED => {
                let report: Report = serde_json::from_slice(&said)?;
                // All events are alike: those that are not accepted found no room.
                Ok(match report.rejected.first() {
                    None if report.accepted == events => Answer::Acknowledged,
                    None => bail!("{} of {events} events were accepted", report.accepted),
                    Some(rejected) => Answer::Later(rejected.to_string()),
                })
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Ok(Answer::Later(format!("{status}: {}", text(&said))))
            }
            _ => bail!("{status}: {}", text(&said)),
        }
    }

    /// What the service tells of itself, as Prometheus reads it.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&mut self) -> Result<String> {
        let (_, said) = self.get("/metrics").await?;
        Ok(text(&said))
    }

    /// Asks for something.
    ///
    /// # Errors
    /// When the service does not answer.
    pub async fn get(&mut self, path: &str) -> Result<(StatusCode, Bytes)> {
        let request =
            Request::get(path).header("authorization", format!("Bearer {}", self.target.key));
        self.exchange(request, Bytes::new()).await
    }

    async fn exchange(&mut self, request: Builder, body: Bytes) -> Result<(StatusCode, Bytes)> {
        let host = self.target.address.to_string();
        let request = request.header("host", host).body(Full::new(body))?;
        let exchange = async {
            self.sender.ready().await?;
            let answer = self.sender.send_request(request).await?;
            let status = answer.status();
            let said = answer.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, said))
        };
        let answer = timeout(TOO_LONG, exchange).await;
        Ok(answer.context("the service does not answer")??)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
