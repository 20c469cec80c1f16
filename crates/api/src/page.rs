//! Lists: pages behind an opaque cursor, with the way back.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tranche_application::ports::queries::Page;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::problem::{FieldError, Problem};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 1000;

/// How much of a list, and from where.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many rows, 1 to 1,000; 50 if absent.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// The page that is asked for.
    ///
    /// # Errors
    /// 422 for a limit out of range, 400 for a cursor that is not ours.
    pub fn page<K: Key>(&self) -> Result<Page<K>, Problem> {
        let limit = match &self.limit {
            None => DEFAULT_LIMIT,
            Some(text) => limit(text).map_err(|flaw| Problem::field("limit", flaw))?,
        };
        let after = self.cursor.as_deref().map(decode).transpose()?;
        Ok(Page { after, limit })
    }
}

/// How many rows.
///
/// # Errors
/// What is wrong with it.
pub fn limit(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| format!("must be a whole number from 1 to {MAX_LIMIT}"))
}

/// What a list goes on after, as a cursor's bytes.
pub trait Key: Sized {
    /// Into a cursor.
    fn to_bytes(&self) -> Vec<u8>;
    /// Out of a cursor, if it is one of this kind.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

impl Key for Uuid {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::from_slice(bytes).ok()
    }
}

impl Key for i32 {
    fn to_bytes(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_be_bytes)
    }
}

fn decode<K: Key>(cursor: &str) -> Result<K, Problem> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| K::from_bytes(&bytes))
        .ok_or_else(|| Problem::malformed("cursor is not one of ours; start without it"))
}

/// The parameters of a query string, by name.
pub trait Parameters: serde::de::DeserializeOwned {
    /// Every one there is.
    const NAMES: &'static [&'static str];
}

impl Parameters for PageQuery {
    const NAMES: &'static [&'static str] = &["limit", "cursor"];
}

/// A query string that is refused as a problem, with every parameter that is unknown.
pub struct Params<T>(pub T);

impl<T: Parameters, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = pairs.map_err(|error| Problem::malformed(error.body_text()))?;
        let unknown = pairs
            .iter()
            .filter(|(name, _)| !T::NAMES.contains(&name.as_str()));
        let errors: Vec<FieldError> = unknown
            .map(|(name, _)| FieldError {
                field: name.chars().take(100).collect(),
                message: "is not a parameter here".to_owned(),
            })
            .collect();
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => Err(Problem::malformed(error.body_text())),
        }
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listing<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Where it goes on.
    pub page: PageInfo,
    /// Where it is.
    pub navigation: Navigation,
}

/// Where a list goes on.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageInfo {
    /// The cursor of the next page, or null at the end.
    pub next_cursor: Option<String>,
    /// How many rows were asked for.
    pub limit: u32,
}

/// Where a list is, and the way back.
#[derive(Debug, Serialize, ToSchema)]
pub struct Navigation {
    /// The way here.
    pub breadcrumbs: Vec<Breadcrumb>,
    /// This very list.
    #[serde(rename = "self")]
    pub here: String,
}

/// One step of the way.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Breadcrumb {
    /// What it is.
    pub label: String,
    /// Where it is.
    pub href: String,
}

impl Breadcrumb {
    /// A step.
    pub fn new(label: impl Into<String>, href: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            href: href.into(),
        }
    }
}

impl<T> Listing<T> {
    /// A page of rows of which one more than `page.limit` was fetched, to know whether it goes on.
    pub fn new<R, K: Key + Copy>(
        mut rows: Vec<R>,
        page: Page<K>,
        here: &axum::http::Uri,
        breadcrumbs: Vec<Breadcrumb>,
        key: impl Fn(&R) -> K,
        view: impl Fn(&R) -> T,
    ) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows
            .last()
            .filter(|_| more)
            .map(|row| URL_SAFE_NO_PAD.encode(key(row).to_bytes()));
        Self {
            data: rows.iter().map(view).collect(),
            page: PageInfo {
                next_cursor,
                limit: page.limit,
            },
            navigation: Navigation {
                breadcrumbs,
                here: here.to_string(),
            },
        }
    }
}

/// The page with one row more, so that its end is known.
#[must_use]
pub fn one_more<K: Copy>(page: Page<K>) -> Page<K> {
    Page {
        after: page.after,
        limit: page.limit + 1,
    }
}
