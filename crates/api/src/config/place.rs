//! Addresses as settings and logs show them.

/// Where a URL leads, without what may be secret in it: credentials, path and query.
pub(super) fn place(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "********".to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].rsplit('@').next().unwrap_or("");
    let more = if end == rest.len() && !rest.contains('@') {
        ""
    } else {
        "/…"
    };
    format!("{scheme}://{host}{more}")
}
