//! A Vault server with a transit engine, as far as signing goes: real keys with versions, a token that
//! is checked, and refusals in Vault's own shapes.
#![expect(
    clippy::must_use_candidate,
    reason = "test support: what cannot go on has failed its test"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::service::Wallet;

/// The token that the server begins with.
pub const TOKEN: &str = "hvs.CAESIJ2uW0fake0token0of0a0fake0vault";

/// A running server. Gone when dropped.
#[derive(Debug)]
pub struct FakeVault {
    server: MockServer,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    token: String,
    keys: BTreeMap<String, Vec<SigningKey>>,
    is_sealed: bool,
    lies: bool,
    echoes: bool,
    signed: Vec<String>,
}

impl FakeVault {
    /// Starts one whose transit engine is mounted at `transit`.
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            token: TOKEN.to_owned(),
            keys: BTreeMap::new(),
            is_sealed: false,
            lies: false,
            echoes: false,
            signed: Vec::new(),
        }));
        let server = MockServer::start().await;
        let answers = Mock::given(any()).respond_with(Answers(state.clone()));
        answers.mount(&server).await;
        Self { server, state }
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        self.server.uri()
    }

    /// Makes a key whose name is its account's id; the account.
    pub fn account(&self) -> String {
        let Wallet { account, bytes, .. } = Wallet::random();
        let key = SigningKey::from_bytes(&bytes);
        self.state().keys.insert(account.clone(), vec![key]);
        account
    }

    /// Makes a key under a name, or its next version; the account of the new key pair.
    pub fn key(&self, name: &str) -> String {
        let Wallet { account, bytes, .. } = Wallet::random();
        let key = SigningKey::from_bytes(&bytes);
        self.state()
            .keys
            .entry(name.to_owned())
            .or_default()
            .push(key);
        account
    }

    /// Keeps a key under another name only, with its newest version as the first.
    pub fn rename(&self, from: &str, to: &str) {
        let mut state = self.state();
        let mut versions = state.keys.remove(from).unwrap_or_default();
        let newest = versions.pop().into_iter().collect();
        state.keys.insert(to.to_owned(), newest);
    }

    /// From now on, lets in this token only.
    pub fn change_token(&self, token: &str) {
        token.clone_into(&mut self.state().token);
    }

    /// Seals or unseals it.
    pub fn seal(&self, is_sealed: bool) {
        self.state().is_sealed = is_sealed;
    }

    /// Signs with another key than it says, or no longer.
    pub fn lie(&self, lies: bool) {
        self.state().lies = lies;
    }

    /// Repeats the token in its refusals, as no server should.
    pub fn echo(&self) {
        self.state().echoes = true;
    }

    /// What it signed: the key's name and version, each time.
    pub fn signed(&self) -> Vec<String> {
        self.state().signed.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Answers(Arc<Mutex<State>>);

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, body) = match state.answer(request) {
            Ok(data) => (
                200,
                json!({ "request_id": "7a1b", "lease_id": "", "renewable": false,
                    "lease_duration": 0, "data": data, "wrap_info": null, "warnings": null,
                    "auth": null, "mount_type": "transit" }),
            ),
            Err((status, reasons)) => (status, json!({ "errors": reasons })),
        };
        ResponseTemplate::new(status).set_body_json(body)
    }
}

/// A status, and the reasons for it.
type Refusal = (u16, Vec<String>);

fn refusal(status: u16, reason: &str) -> Refusal {
    (status, vec![reason.to_owned()])
}

impl State {
    fn answer(&mut self, request: &Request) -> Result<Value, Refusal> {
        if self.is_sealed {
            return Err(refusal(503, "Vault is sealed"));
        }
        let given = request.headers.get("x-vault-token");
        let given = given.and_then(|token| token.to_str().ok()).unwrap_or("");
        if given != self.token {
            let echo = if self.echoes { given } else { "" };
            return Err(refusal(403, &format!("permission denied{echo}")));
        }
        let path = request.url.path().strip_prefix("/v1/").unwrap_or_default();
        let route = path
            .strip_prefix("transit/")
            .and_then(|path| path.split_once('/'));
        match (request.method.as_str(), route) {
            ("GET", Some(("keys", name))) => self.read(name),
            ("POST", Some(("sign", name))) => self.sign(name, &request.body),
            _ => Err(refusal(
                404,
                &format!("no handler for route \"{path}\". route entry not found."),
            )),
        }
    }

    fn read(&self, name: &str) -> Result<Value, Refusal> {
        if name == "symmetric" {
            return Ok(
                json!({ "type": "aes256-gcm96", "name": name, "latest_version": 1,
                "keys": { "1": 1_700_000_000 } }),
            );
        }
        let versions = self.keys.get(name).ok_or((404, Vec::new()))?;
        let keys = versions.iter().enumerate().map(|(at, key)| {
            let public = STANDARD.encode(key.verifying_key().to_bytes());
            let key = json!({ "name": "ed25519", "public_key": public,
                "creation_time": "2026-01-02T03:04:05.6Z", "certificate_chain": "" });
            ((at + 1).to_string(), key)
        });
        let keys: serde_json::Map<String, Value> = keys.collect();
        Ok(
            json!({ "type": "ed25519", "name": name, "keys": keys, "derived": false,
            "exportable": false, "deletion_allowed": false, "supports_signing": true,
            "latest_version": versions.len(), "min_available_version": 0,
            "min_decryption_version": 1, "min_encryption_version": 0 }),
        )
    }

    fn sign(&mut self, name: &str, body: &[u8]) -> Result<Value, Refusal> {
        let body: Value =
            serde_json::from_slice(body).map_err(|_| refusal(400, "error parsing JSON"))?;
        let versions = self.keys.get(name);
        let versions = versions.ok_or_else(|| refusal(400, "signing key not found"))?;
        let version = match body["key_version"].as_u64() {
            None | Some(0) => versions.len(),
            Some(version) => usize::try_from(version).unwrap_or(usize::MAX),
        };
        let key = version.checked_sub(1).and_then(|at| versions.get(at));
        let key = key.ok_or_else(|| refusal(400, "invalid key version"))?;
        let input = STANDARD
            .decode(body["input"].as_str().unwrap_or_default())
            .map_err(|_| refusal(400, "unable to decode input as base64"))?;
        let signature = if self.lies {
            SigningKey::from_bytes(&[7; 32]).sign(&input)
        } else {
            key.sign(&input)
        };
        self.signed.push(format!("{name}/v{version}"));
        let encoded = STANDARD.encode(signature.to_bytes());
        Ok(json!({ "key_version": version, "signature": format!("vault:v{version}:{encoded}") }))
    }
}
