//! What a bucket may answer, and what is made of it (S7).

use tranche_adapters_archive::{FileArchive, Format, OpenError};
use tranche_application::ports::event_archive::EventArchive;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::files::contents;

const NOTHING: Format = Format {
    ending: "none",
    schema: "nothing",
    begin: || Err("nothing is written".into()),
};
const TOKEN: &str = "FwoGZXIvYXdzEBYaD0token0of0a0session";

fn settings(endpoint: &str) -> Vec<(String, String)> {
    let pairs = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "AKIA0000000000000000"),
        ("AWS_SECRET_ACCESS_KEY", "a+secret/of+forty+letters"),
        ("AWS_SESSION_TOKEN", TOKEN),
        // Of another program.
        ("AWS_PAGER", "less"),
    ];
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// Why an archive with these settings takes nothing.
async fn refusal(settings: Vec<(String, String)>) -> String {
    let archive = FileArchive::open("s3://bucket", settings, NOTHING).expect("it opens");
    let told = contents();
    match archive.begin(told.severity, told.month, told.run).await {
        Ok(_) => panic!("it was taken"),
        Err(error) => error.to_string(),
    }
}

/// What is made of this answer.
async fn made_of(status: u16, body: &str) -> String {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(status).set_body_string(body);
    Mock::given(any()).respond_with(answer).mount(&server).await;
    refusal(settings(&server.uri())).await
}

#[tokio::test]
async fn a_code_says_what_to_mend_and_nothing_else_is_repeated() {
    for (status, code, says) in [
        (403, "RequestTimeTooSkewed", "set the clock"),
        (400, "ExpiredToken", "renew AWS_SESSION_TOKEN"),
        (400, "AuthorizationHeaderMalformed", "mend AWS_REGION"),
        (409, "OperationAborted", "refused it: OperationAborted"),
        (403, "</b>\nforged", "allow it s3:PutObject"),
    ] {
        let body = format!(
            "<Error><Code>{code}</Code><CanonicalRequest>x-amz-security-token:{TOKEN}\
             </CanonicalRequest></Error>"
        );
        let told = made_of(status, &body).await;
        assert!(told.contains(says), "{code}: {told}");
        assert!(!told.contains(TOKEN) && !told.contains("forged"), "{told}");
    }
    let told = made_of(418, TOKEN).await;
    assert!(
        told.contains("AWS_ENDPOINT_URL") && !told.contains(TOKEN),
        "{told}"
    );
}

#[tokio::test]
async fn an_endpoint_that_is_away_is_told() {
    let told = refusal(settings("http://127.0.0.1:9")).await;
    assert!(told.contains("cannot be reached"), "{told}");
}

#[tokio::test]
async fn without_credentials_there_is_nothing_to_sign_with() {
    let settings = ["AWS_METADATA_ENDPOINT", "AWS_ENDPOINT_URL"];
    let settings = settings.map(|name| (name.to_owned(), "https://127.0.0.1:9".to_owned()));
    let told = refusal(settings.to_vec()).await;
    assert!(told.contains("set AWS_ACCESS_KEY_ID"), "{told}");
}

#[tokio::test]
async fn half_a_key_and_a_plain_endpoint_are_refused_when_it_opens() {
    let without = |name: &str| {
        let mut settings = settings("http://127.0.0.1:9");
        settings.retain(|(given, _)| given != name);
        FileArchive::open("s3://bucket", settings, NOTHING).err()
    };
    let half = without("AWS_SECRET_ACCESS_KEY").expect("half a key");
    assert!(matches!(half, OpenError::Refused(_)));
    let told = half.to_string();
    assert!(!told.contains("AKIA0"), "{told}");
    let plain = without("AWS_ALLOW_HTTP").expect("a plain endpoint");
    assert!(matches!(plain, OpenError::Plain), "{plain}");
}
