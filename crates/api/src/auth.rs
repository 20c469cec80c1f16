//! Who calls: API keys, the tokens of an OIDC issuer, and what each role may do.

pub mod oidc;
pub mod permission;

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tranche_application::Caller;
use tranche_application::keys::KeyRing;
use tranche_domain::{Actor, Origin, ProjectId, Role};

use oidc::OidcError;
pub use permission::Permission;

use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::state::App;

/// A caller whose credential was checked.
#[derive(Clone, Debug)]
pub struct Authenticated {
    subject: String,
    roles: Vec<Role>,
    scope: Option<ProjectId>,
    origin: Origin,
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

/// Checks the credential of every call to `/v1`, before anything else is looked at: without one,
/// nobody learns which addresses and parameters there are.
pub async fn middleware(State(app): State<App>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match Authenticated::check(&mut parts, &app).await {
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
    async fn check(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = bearer(parts).ok_or_else(|| {
            unauthorized(
                "auth.missing",
                "send an API key as `Authorization: Bearer …`",
            )
        })?;
        let ip_address = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip().to_canonical());
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
        };
        Self::by_token(token, origin, app).await
    }

    /// Whoever a token speaks for, calling from there.
    ///
    /// # Errors
    /// 401 for a token that is not in force.
    pub async fn by_token(token: &str, origin: Origin, app: &App) -> Result<Self, Problem> {
        let Identity {
            subject,
            roles,
            scope,
        } = identify(token, app).await?;
        Ok(Self {
            subject,
            roles,
            scope,
            origin,
        })
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn identify(token: &str, app: &App) -> Result<Identity, Problem> {
    let refused = || {
        unauthorized(
            "auth.invalid",
            "the credential is unknown, expired or revoked",
        )
    };
    if let Some(id) = KeyRing::id_of(token) {
        let key = app.queries.key(id).await?.ok_or_else(refused)?;
        if key.revoked_at.is_some() || !app.ring.opens(token, &key) {
            return Err(refused());
        }
        return Ok(Identity {
            subject: key.subject,
            roles: key.roles,
            scope: key.project_id,
        });
    }
    match &app.oidc {
        Some(oidc) => oidc.identify(token).await.map_err(|error| match error {
            OidcError::Unavailable => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "auth.unavailable",
                "the token's issuer does not answer; try again",
            ),
            error => {
                tracing::info!(%error, "a token was refused");
                refused()
            }
        }),
        None => Err(refused()),
    }
}

fn unauthorized(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
}
