//! The keys an issuer publishes: which of them may verify what, and when they are fetched again.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, ensure};
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use reqwest::{Client, StatusCode, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::OidcError;

/// Keys older than this are fetched again before they are used.
const FRESH: Duration = Duration::from_mins(10);
/// Keys older than this are not used, even when the issuer cannot be reached.
const USABLE: Duration = Duration::from_hours(24);
/// Between two attempts to fetch keys, whatever came of the first.
const PAUSE: Duration = Duration::from_secs(30);
/// For one request, from connecting to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
const LARGEST_ANSWER: usize = 256 * 1024;

/// A public key and what it may verify.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
}

impl Key {
    /// `None` for a key that is not meant to verify, or not in a way this service knows.
    fn of(jwk: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(jwk).ok()?;
        let meant = matches!(
            jwk.common.public_key_use,
            None | Some(PublicKeyUse::Signature)
        );
        let operations = jwk.common.key_operations.as_ref();
        if !meant || operations.is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms().to_vec(),
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => Vec::new(),
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                vec![Algorithm::EdDSA]
            }
            _ => Vec::new(),
        };
        if let Some(only) = jwk.common.key_algorithm {
            algorithms.retain(|algorithm| KeyAlgorithm::from(*algorithm) == only);
        }
        let public = DecodingKey::from_jwk(&jwk)
            .ok()
            .filter(|_| !algorithms.is_empty())?;
        Some(Self {
            id: jwk.common.key_id,
            algorithms,
            public,
        })
    }
}

/// The keys of one answer of the issuer.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    fetched: Instant,
}

impl KeySet {
    /// The keys of this id; an only key needs none.
    fn named<'a>(&'a self, id: Option<&str>) -> impl Iterator<Item = &'a Key> {
        let only = id.is_none() && self.keys.len() == 1;
        let named = move |key: &&Key| only || (id.is_some() && key.id.as_deref() == id);
        self.keys.iter().filter(named)
    }

    /// The key of this id that may verify this algorithm.
    pub(super) fn find(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<&DecodingKey, OidcError> {
        let mut keys = self.named(id).peekable();
        keys.peek().ok_or(OidcError::UnknownKey)?;
        let key = keys.find(|key| key.algorithms.contains(&algorithm));
        key.map(|key| &key.public).ok_or(OidcError::Algorithm)
    }
}

/// Where keys come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The keys themselves.
    Keys(Url),
    /// The discovery document of an issuer, which says where its keys are.
    Issuer { name: String, url: Url },
}

impl Source {
    const fn url(&self) -> &Url {
        match self {
            Self::Keys(url) | Self::Issuer { url, .. } => url,
        }
    }
}

/// The issuer's keys as last fetched.
#[derive(Debug)]
pub(super) struct Keys {
    client: Client,
    source: Source,
    current: RwLock<Option<Arc<KeySet>>>,
    fetching: Mutex<Fetching>,
}

#[derive(Debug, Default)]
struct Fetching {
    attempted: Option<Instant>,
    /// What the issuer answered when asked where its keys are.
    url: Option<Url>,
}

/// What an issuer says about itself.
#[derive(Deserialize)]
pub(super) struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Discovery {
    /// Where the keys are, if this is what `issuer` answers at `asked`.
    pub(super) fn place(&self, issuer: &str, asked: &Url) -> anyhow::Result<Url> {
        ensure!(
            self.issuer == issuer,
            "the discovery document is of another issuer"
        );
        let place = Url::parse(&self.jwks_uri).context("jwks_uri")?;
        ensure!(
            place.scheme() == asked.scheme(),
            "jwks_uri is under another scheme"
        );
        Ok(place)
    }
}

/// An answer may hold keys this service does not know, so each is read alone.
#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

impl Keys {
    pub(super) fn try_new(source: Source) -> Result<Self, OidcError> {
        let client = client_for(source.url())?;
        Ok(Self {
            client,
            source,
            current: RwLock::default(),
            fetching: Mutex::default(),
        })
    }

    /// Keys that are fresh and hold this id where that is possible within the limits.
    pub(super) async fn with(self: &Arc<Self>, id: Option<&str>) -> Result<Arc<KeySet>, OidcError> {
        let fresh = |set: &Arc<KeySet>| set.fetched.elapsed() < FRESH;
        let known = |set: &Arc<KeySet>| id.is_none() || set.named(id).next().is_some();
        if let Some(set) = self.current().filter(fresh).filter(known) {
            return Ok(set);
        }
        // On its own, so that a caller who hangs up does not waste the attempt of everyone.
        let this = Arc::clone(self);
        if let Err(error) = tokio::spawn(async move { this.refresh().await }).await {
            tracing::error!(%error, "fetching the OIDC issuer's keys did not end");
        }
        let usable = |set: &Arc<KeySet>| set.fetched.elapsed() < USABLE;
        self.current().filter(usable).ok_or(OidcError::Unavailable)
    }

    fn current(&self) -> Option<Arc<KeySet>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Fetches the keys, unless somebody did or tried just now.
    async fn refresh(&self) {
        let mut fetching = self.fetching.lock().await;
        if fetching
            .attempted
            .is_some_and(|attempt| attempt.elapsed() < PAUSE)
        {
            return;
        }
        let fetched = Instant::now();
        fetching.attempted = Some(fetched);
        match self.fetch(&mut fetching.url).await {
            Ok(keys) => {
                let set = Some(Arc::new(KeySet { keys, fetched }));
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = set;
            }
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "the OIDC issuer's keys could not be fetched"
            ),
        }
    }

    async fn fetch(&self, place: &mut Option<Url>) -> anyhow::Result<Vec<Key>> {
        // Taken, so that after a failure the issuer is asked again.
        let url = match (&self.source, place.take()) {
            (Source::Keys(url), _) => url.clone(),
            (Source::Issuer { .. }, Some(url)) => url,
            (Source::Issuer { name, url }, None) => {
                let found: Discovery = self.get(url).await.context("discovery")?;
                found.place(name, url)?
            }
        };
        let published: Published = self.get(&url).await.context("keys")?;
        *place = Some(url);
        Ok(published.keys.into_iter().filter_map(Key::of).collect())
    }

    async fn get<T: DeserializeOwned>(&self, url: &Url) -> anyhow::Result<T> {
        let request = self.client.get(url.clone());
        let mut answer = request.send().await.map_err(reqwest::Error::without_url)?;
        let status = answer.status();
        ensure!(status == StatusCode::OK, "the answer is {status}");
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            let size = body.len() + chunk.len();
            ensure!(
                size <= LARGEST_ANSWER,
                "the answer is larger than {LARGEST_ANSWER} bytes"
            );
            body.extend_from_slice(&chunk);
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

fn client_for(url: &Url) -> Result<Client, OidcError> {
    let mut builder = Client::builder()
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none());
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if local {
        builder = builder.no_proxy();
    }
    if url.scheme() == "http" {
        // Without this the client reads the system's certificates and fails where there are none.
        builder = builder.tls_certs_only([]);
        if !local {
            tracing::warn!("the OIDC issuer's keys come without TLS: the network can replace them");
        }
    }
    builder
        .build()
        .map_err(|error| OidcError::Client(format!("{:#}", anyhow::Error::from(error))))
}
