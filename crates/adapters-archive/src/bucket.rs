//! Buckets of S3 and of stores that speak its protocol.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, CredentialProvider, RetryConfig,
};

use crate::place::{OpenError, Place};

/// What signs requests.
pub type Credentials = Arc<dyn CredentialProvider<Credential = AwsCredential>>;

/// The longest that a request may take: a part at a megabyte in four seconds.
const REQUEST: Duration = Duration::from_mins(1);
/// The longest that a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// How often what may pass is tried again: for some ten seconds. What stays comes with the next run.
const RETRIES: RetryConfig = RetryConfig {
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(200),
        max_backoff: Duration::from_secs(5),
        base: 2.0,
    },
    max_retries: 4,
    retry_timeout: Duration::from_mins(3),
};

/// The bucket at `BUCKET` or `BUCKET/FOLDER`, with what the environment says of endpoint and credentials.
pub fn open(
    address: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Place, OpenError> {
    let (name, below) = address.split_once('/').unwrap_or((address, ""));
    let is_name = |name: &str| {
        let may = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        !name.is_empty() && name.chars().all(may)
    };
    if !is_name(name) || below.contains(['?', '#']) {
        return Err(OpenError::Bucket);
    }
    let below = Path::parse(below).map_err(|_| OpenError::Bucket)?;

    let options = ClientOptions::new()
        .with_timeout(REQUEST)
        .with_connect_timeout(CONNECT);
    let mut builder = AmazonS3Builder::new().with_client_options(options);
    for (variable, value) in environment {
        if !variable.starts_with("AWS_") {
            continue;
        }
        // Other programs have variables that begin alike.
        if let Ok(key) = variable.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    let says = |key: AmazonS3ConfigKey| builder.get_config_value(&key).unwrap_or_default();
    let s3_endpoint = says(AmazonS3ConfigKey::S3Endpoint);
    let endpoint = if s3_endpoint.is_empty() {
        says(AmazonS3ConfigKey::Endpoint)
    } else {
        s3_endpoint
    };
    let may_be_plain = says(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp)) == "true";
    if endpoint.starts_with("http://") && !may_be_plain {
        return Err(OpenError::Plain);
    }
    let store = builder
        .with_bucket_name(name)
        .with_retry(RETRIES)
        .build()
        .map_err(OpenError::Refused)?;
    let signs = store.credentials().clone();
    Ok(Place {
        store: Arc::new(store),
        below,
        signs: Some(signs),
    })
}
