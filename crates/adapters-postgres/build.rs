//! A new migration is a change of the program that carries it.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
