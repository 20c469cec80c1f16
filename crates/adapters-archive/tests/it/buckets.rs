//! Files in a bucket of a server that checks every signature (S7).

use serde_json::Value;
use tranche_adapters_archive::{FileArchive, Format};
use tranche_application::audit::export::Table;
use tranche_application::audit::record::LoggedEvent;
use tranche_application::ports::event_archive::{ArchiveWriter, EventArchive};
use tranche_application::ports::store::Source;
use tranche_tests::support::s3::{BUCKET, Key, S3};
use tranche_tests::support::service::eventually;
use uuid::Uuid;

use crate::files::{contents, event};

const MIB: usize = 1024 * 1024;

/// Ten megabytes of its number for each event.
struct Large;

impl Table for Large {
    fn write(&mut self, events: &[LoggedEvent]) -> Result<Vec<u8>, Source> {
        let number = |event: &LoggedEvent| event.event.id.as_bytes()[15];
        Ok(events
            .iter()
            .flat_map(|event| vec![number(event); 10 * MIB])
            .collect())
    }

    fn end(self: Box<Self>) -> Result<Vec<u8>, Source> {
        Ok(b"end".to_vec())
    }
}

const LARGE: Format = Format {
    ending: "large",
    schema: "ten megabytes",
    begin: || Ok(Box::new(Large)),
};

fn archive(s3: &S3, address: &str, key: &Key) -> FileArchive {
    let mut settings = s3.settings(key);
    // As a bucket demands that locks what is in it.
    settings.push(("AWS_CHECKSUM_ALGORITHM", "sha256".to_owned()));
    let settings = settings
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    FileArchive::open(address, settings, LARGE).expect("it opens")
}

async fn begun(archive: &FileArchive) -> Box<dyn ArchiveWriter> {
    let told = contents();
    let begun = archive.begin(told.severity, told.month, told.run).await;
    begun.expect("it begins")
}

// S7: a file goes in parts, is there when all of them are, and its manifest comes last.
#[tokio::test]
async fn a_bucket_takes_a_file_in_parts() {
    let s3 = S3::start().expect("an S3 server");
    let archive = archive(&s3, &format!("s3://{BUCKET}/kept"), s3.key("writer"));
    let mut writer = begun(&archive).await;
    let four = (1..=4).map(event).collect();
    writer.write(four).await.expect("it is written");
    assert_eq!(s3.objects().expect("the bucket").len(), 0, "not yet whole");
    let file = writer.finish(&contents()).await.expect("it is whole");

    let run = Uuid::from_u128(7);
    assert_eq!(file.name, format!("kept/info/2024-01/{run}.large"));
    let objects = s3.objects().expect("the bucket");
    let object = &objects[&file.name];
    assert_eq!((object.bytes, object.parts), (40 * MIB + 3, Some(3)));
    assert_eq!(object.sha256, hex::encode(file.sha256));
    let manifest = s3.read(&format!("kept/info/2024-01/{run}.json"));
    let manifest: Value = serde_json::from_slice(&manifest.expect("the manifest")).expect("JSON");
    assert_eq!(manifest["files"][0]["name"], file.name);
    assert_eq!(manifest["files"][0]["sha256"], object.sha256);
    assert_eq!(
        (objects.len(), s3.uploads().expect("uploads").len()),
        (2, 0)
    );
}

// S7: a file that breaks off is not there, and neither are its parts.
#[tokio::test]
async fn what_breaks_off_leaves_nothing_in_a_bucket() {
    let s3 = S3::start().expect("an S3 server");
    let archive = archive(&s3, &format!("s3://{BUCKET}"), s3.key("writer"));
    let mut writer = begun(&archive).await;
    writer
        .write(vec![event(1), event(2)])
        .await
        .expect("it is written");
    assert_eq!(s3.uploads().expect("uploads").len(), 1);
    drop(writer);
    eventually("the upload is aborted", async || {
        s3.uploads().expect("uploads").is_empty().then_some(())
    })
    .await;
    assert_eq!(s3.objects().expect("the bucket").len(), 0);
}

/// Why the archive does not take a file.
async fn refusal(archive: &FileArchive) -> String {
    let told = contents();
    match archive.begin(told.severity, told.month, told.run).await {
        Ok(_) => panic!("it was taken"),
        Err(error) => error.to_string(),
    }
}

// S7: what is refused says what to mend, and never what the key is.
#[tokio::test]
async fn a_refusal_says_what_to_mend() {
    let s3 = S3::start().expect("an S3 server");
    let (id, secret) = s3.key("writer").clone();
    let (owner, stranger) = (s3.key("owner").clone(), s3.key("stranger").clone());
    let unknown = "AKIA0000000000000000".to_owned();
    let wrong = "0".repeat(40);
    for (bucket, key, says) in [
        ("elsewhere", owner, "no such bucket"),
        (BUCKET, (unknown, secret), "mend AWS_ACCESS_KEY_ID"),
        (BUCKET, (id, wrong), "mend AWS_SECRET_ACCESS_KEY"),
        (BUCKET, stranger, "allow it s3:PutObject"),
    ] {
        let told = refusal(&archive(&s3, &format!("s3://{bucket}"), &key)).await;
        assert!(told.contains(says), "{told}");
        assert!(!told.contains(&key.0) && !told.contains(&key.1), "{told}");
    }
}
