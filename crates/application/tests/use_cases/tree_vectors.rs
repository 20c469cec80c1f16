//! The tree against the vectors of Certificate Transparency, and every proof of every small tree.

use std::sync::Arc;

use tranche_application::audit::tree::merkle::{Frontier, leaf_hash, root_over};
use tranche_application::audit::tree::proof::{Tiles, extends, includes};
use tranche_application::ports::tree::{Hash, Tree};

use super::memory_tree::{MemoryTree, Shared};

const RECORDS: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn roots_are_those_of_certificate_transparency() {
    assert_eq!(hex::encode(Frontier::default().root()), EMPTY);
    let (mut edge, mut leaves) = (Frontier::default(), Vec::new());
    for (record, root) in RECORDS.iter().zip(ROOTS) {
        let leaf = leaf_hash(&hex::decode(record).unwrap());
        leaves.push(leaf);
        edge.push(leaf, &mut Vec::new());
        assert_eq!(hex::encode(edge.root()), root);
        assert_eq!(root_over(&leaves), edge.root());
    }
}

/// Around the borders of tiles, in two levels.
#[test]
fn an_edge_that_is_read_again_is_the_one_that_grew() {
    let (mut edge, mut nodes, mut leaves) = (Frontier::default(), Vec::new(), Vec::new());
    for number in 0..66_000_u32 {
        let leaf = leaf_hash(&number.to_be_bytes());
        leaves.push(leaf);
        edge.push(leaf, &mut nodes);
        if matches!(number, 0 | 254..=257 | 511 | 512 | 65_534..=65_537) {
            let at = |level: u8| -> Vec<Hash> {
                let of = nodes.iter().filter(|node| node.level == level);
                of.map(|node| node.hash).collect()
            };
            let edge_of = |hashes: Vec<Hash>| hashes[hashes.len() / 256 * 256..].to_vec();
            let mut levels = vec![edge_of(leaves.clone()), edge_of(at(1)), edge_of(at(2))];
            let size = u64::from(number) + 1;
            levels.truncate(1 + (size.ilog2() / 8) as usize);
            assert_eq!(Frontier::of(size, levels.clone()), Some(edge.clone()));
            levels[0].push([0; 32]);
            assert_eq!(Frontier::of(size, levels), None);
            assert_eq!(edge.root(), root_over(&leaves), "{size}");
        }
    }
}

#[tokio::test]
async fn every_proof_of_every_small_tree_is_right_and_fits_nothing_else() {
    const MOST: u64 = 40;
    let records: Vec<[u8; 8]> = (0..MOST).map(u64::to_be_bytes).collect();
    let leaves: Vec<Hash> = records.iter().map(|record| leaf_hash(record)).collect();
    let root = |size: u64| root_over(&leaves[..usize::try_from(size).unwrap()]);
    let database = Arc::<MemoryTree>::default();
    database.rows().leaves.clone_from(&leaves);
    let shared = Shared(database);
    for size in 1..=MOST {
        let mut tree: &dyn Tree = &shared;
        let mut tiles = Tiles::new(&mut tree, size);
        assert_eq!(tiles.whole().await.unwrap(), root(size));
        for (index, record) in (0..size).zip(&records) {
            let path = tiles.inclusion(index).await.unwrap();
            let fits = |record: &[u8], index, size, path: &[Hash], to| {
                includes(record, index, size, path, &root(to))
            };
            assert!(fits(record, index, size, &path, size), "{index} of {size}");
            assert!(!fits(b"another", index, size, &path, size));
            assert!(
                !fits(record, index + 1, size, &path, size),
                "{index} of {size}"
            );
            let more = [path.as_slice(), &[[0; 32]]].concat();
            assert!(!fits(record, index, size, &more, size));
            if let Some((_, less)) = path.split_last() {
                assert!(!fits(record, index, size, less, size));
            }
            if size > 1 {
                assert!(!fits(record, index, size, &path, size - 1));
            }
        }
        for former in 0..=size {
            let proof = tiles.consistency(former).await.unwrap();
            let (was, is) = (root(former), root(size));
            let case = format!("{former} to {size}");
            assert!(extends((former, &was), (size, &is), &proof), "{case}");
            assert!(!extends((former, &[1; 32]), (size, &is), &proof), "{case}");
            if former == 0 {
                continue;
            }
            assert!(!extends((former, &was), (size, &[1; 32]), &proof), "{case}");
            let more = [proof.as_slice(), &[[0; 32]]].concat();
            assert!(!extends((former, &was), (size, &is), &more), "{case}");
            if let Some((_, less)) = proof.split_last() {
                assert!(!extends((former, &was), (size, &is), less), "{case}");
            }
        }
    }
}
