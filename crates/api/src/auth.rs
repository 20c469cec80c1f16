//! Who calls: API keys, the tokens of an OIDC issuer, and what each role may do.

pub mod acquaintance;
pub mod known_keys;
pub mod oidc;
pub mod permission;

use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tranche_application::Caller;
use tranche_application::keys::{ApiKey, KeyRing};
use tranche_application::ports::actors::Person;
use tranche_application::ports::store::StoreError;
use tranche_domain::{Actor, Origin, ProjectId, Role};

use oidc::OidcError;
pub use permission::Permission;

use crate::listening::Peer;
use crate::problem::Problem;
use crate::rate_limit::{Account, OwnRates};
use crate::request_id::RequestId;
use crate::state::{App, Served};

/// A caller whose credential was checked.
#[derive(Clone, Debug)]
pub struct Authenticated {
    subject: String,
    roles: Vec<Role>,
    scope: Option<ProjectId>,
    origin: Origin,
    account: Account,
}

/// Who a credential speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The credential's subject.
    pub subject: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// The only project it may see, or all.
    pub scope: Option<ProjectId>,
    /// Who that is, as far as the credential says it itself.
    pub person: Person,
}

impl Authenticated {
    /// The caller in the role that allows this.
    ///
    /// # Errors
    /// 403 naming the roles that would.
    pub fn may(&self, permission: Permission) -> Result<Caller, Problem> {
        let role = permission
            .roles()
            .iter()
            .find(|role| self.roles.contains(role));
        let role = role.ok_or_else(|| {
            let needed: Vec<&str> = permission
                .roles()
                .iter()
                .map(|role| role.as_str())
                .collect();
            Problem::new(
                StatusCode::FORBIDDEN,
                "auth.role_required",
                format!("this needs one of the roles: {}", needed.join(", ")),
            )
        })?;
        Ok(Caller {
            actor: Actor {
                id: self.subject.clone(),
                role: *role,
            },
            origin: self.origin.clone(),
            scope: self.scope,
        })
    }

    /// Whose requests are counted.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Whose idempotency keys are used: the subject's, apart for each project it is confined to.
    /// A subject has no line breaks, so the two cannot run into each other.
    #[must_use]
    pub fn key_owner(&self) -> String {
        match self.scope {
            None => self.subject.clone(),
            Some(project) => format!("{}\n{project}", self.subject),
        }
    }
}

/// Checks the credential of every call to `/v1`, and for records of the log, before anything else is looked at: without one,
/// nobody learns which addresses and parameters there are.
pub async fn middleware(State(served): State<Served>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/v1/") && !path.starts_with("/tile/entries/") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match Authenticated::check(&mut parts, &served).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(Problem::internal)
    }
}

impl Authenticated {
    async fn check(parts: &mut Parts, served: &Served) -> Result<Self, Problem> {
        let token = token(&parts.headers).ok_or_else(|| {
            unauthorized(
                "auth.missing",
                "send an API key as `Authorization: Bearer …`",
            )
        })?;
        let ip_address = parts
            .extensions
            .get::<ConnectInfo<Peer>>()
            .map(|info| info.0.address.ip().to_canonical());
        let user_agent = parts
            .headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .map(|text| text.chars().take(512).collect());
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        let origin = Origin {
            ip_address,
            user_agent,
            request_id,
            sealed: None,
        };
        let keys = if TRUSTING.contains(&(parts.method.clone(), parts.uri.path())) {
            Keys::Known(served)
        } else {
            Keys::Stored(&served.app)
        };
        let is_recorded = matches!(keys, Keys::Stored(_));
        let mut caller = Self::identified(token, origin, keys).await?;
        if is_recorded {
            let sensitive = &served.app.sensitive;
            caller.origin = sensitive.origin(caller.origin, &caller.subject).await;
        }
        Ok(caller)
    }

    /// Whoever a token speaks for, calling from there.
    ///
    /// # Errors
    /// 401 for a token that is not in force.
    pub async fn by_token(token: &str, origin: Origin, app: &App) -> Result<Self, Problem> {
        Self::identified(token, origin, Keys::Stored(app)).await
    }

    async fn identified(token: &str, origin: Origin, keys: Keys<'_>) -> Result<Self, Problem> {
        let (identity, account) = identify(token, keys).await?;
        let Identity {
            subject,
            roles,
            scope,
            person: _,
        } = identity;
        Ok(Self {
            subject,
            roles,
            scope,
            origin,
            account,
        })
    }
}

/// What works while the store is away: sending events, and seeing how that goes.
const TRUSTING: [(Method, &str); 2] = [
    (Method::POST, "/v1/audit/events"),
    (Method::GET, "/v1/monitoring/audit-metrics"),
];
/// The longest that a sender's key is looked up before it is taken on trust.
const LOOK_UP: Duration = Duration::from_secs(2);
/// As long while the log is known to be away.
const QUICK_LOOK_UP: Duration = Duration::from_millis(300);

/// Where an API key is looked up.
#[derive(Clone, Copy)]
enum Keys<'a> {
    /// In the store, each time.
    Stored(&'a App),
    /// Among those that were in force of late first.
    Known(&'a Served),
}

impl Keys<'_> {
    const fn app(&self) -> &App {
        match self {
            Self::Stored(app) => app,
            Self::Known(served) => &served.app,
        }
    }

    async fn find(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        let Self::Known(served) = self else {
            return self.app().queries.key(id).await;
        };
        let (known, now) = (&served.known_keys, Instant::now());
        let availability = &served.operations.monitoring.pipeline().availability;
        if let Some(key) = known.fresh(id, now) {
            return Ok(Some(key));
        }
        // The log may be away although the store answers.
        let patience = if availability.is_available() {
            LOOK_UP
        } else {
            QUICK_LOOK_UP
        };
        let looked = timeout(patience, served.app.queries.key(id)).await;
        let found = looked.unwrap_or_else(|_| Err(StoreError::timeout()));
        match (found, known.trusted(id, now)) {
            (Ok(found), _) => {
                known.learn(id, found.as_ref(), now);
                Ok(found)
            }
            (Err(_), Some(key)) => Ok(Some(key)),
            (Err(error), None) => Err(error),
        }
    }
}

/// The token that a call bears.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn identify(token: &str, keys: Keys<'_>) -> Result<(Identity, Account), Problem> {
    let app = keys.app();
    let refused = || {
        unauthorized(
            "auth.invalid",
            "the credential is unknown, expired or revoked",
        )
    };
    if let Some(id) = KeyRing::id_of(token) {
        let key = keys.find(id).await?.ok_or_else(refused)?;
        if key.revoked_at.is_some() || !app.ring.opens(token, &key) {
            return Err(refused());
        }
        let account = Account {
            name: format!("key {}", key.id),
            rates: key.rate_limit.as_deref().and_then(own_rates),
        };
        let identity = Identity {
            subject: key.subject,
            roles: key.roles,
            scope: key.project_id,
            person: Person::default(),
        };
        return Ok((identity, account));
    }
    let oidc = app.oidc.as_ref().ok_or_else(refused)?;
    let identity = oidc.identify(token).await.map_err(|error| match error {
        OidcError::Unavailable => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "auth.unavailable",
            "the token's issuer does not answer; try again",
        ),
        error => {
            tracing::info!(%error, "a token was refused");
            refused()
        }
    })?;
    app.acquaintances.meet(&identity.subject, &identity.person);
    let account = Account {
        name: format!("subject {}", identity.subject),
        rates: None,
    };
    Ok((identity, account))
}

/// A key's own limits; they were checked when the key was issued.
fn own_rates(text: &str) -> Option<OwnRates> {
    text.parse()
        .inspect_err(|error| tracing::warn!(%error, "a key's own limits cannot be used"))
        .ok()
}

fn unauthorized(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
}
