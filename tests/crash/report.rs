//! Where a long run leaves its table: on stdout, and in `target/crash`.

use std::path::{Path, PathBuf};

use tranche_tests::support::service::binary;

fn folder() -> PathBuf {
    let target = binary();
    let target = target.ancestors().nth(2).map(Path::to_path_buf);
    target.expect("a target folder").join("crash")
}

/// Prints a report and keeps it.
pub fn write(name: &str, text: &str) {
    let folder = folder();
    std::fs::create_dir_all(&folder).expect("a folder for reports");
    let file = folder.join(name);
    std::fs::write(&file, text).expect("a report");
    println!("{text}\nkept in {}", file.display());
}
