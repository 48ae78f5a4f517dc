//! No two files of a folder import each other in a circle. Each folder below `src/` is a graph: its files and
//! sub-folders are the nodes, their imports of each other the edges (through the folder's re-exports too), and every
//! strongly connected component must be a single node (Tarjan, 1972). Imports between folders are the subject of
//! [`crate::repo::architecture`]; a folder's `mod.rs` contains what its files share and is not a node.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::source_imports::{SourceFile, source_files};

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The graph of every folder, by module path.
fn folders(files: &[SourceFile]) -> BTreeMap<Vec<String>, Graph> {
    let modules: BTreeMap<&[String], &SourceFile> = files.iter().map(|file| (&*file.module, file)).collect();
    let mut graphs: BTreeMap<Vec<String>, Graph> = BTreeMap::new();
    for file in files {
        for name in &file.names {
            let Some(path) = name.path_from_root() else { continue };
            let target = resolve(&modules, path);
            let shared = file.module.iter().zip(&target).take_while(|(own, other)| own == other).count();
            if shared > 0 && shared < file.module.len() && shared < target.len() {
                let graph = graphs.entry(file.module[..shared].to_vec()).or_default();
                graph.entry(file.module[shared].clone()).or_default().insert(target[shared].clone());
            }
        }
    }
    graphs
}

/// Follows re-exports: the path of the module that defines what `path` names, as far as files show it.
fn resolve(modules: &BTreeMap<&[String], &SourceFile>, mut path: Vec<String>) -> Vec<String> {
    for _ in 0..8 {
        let Some(len) = (1..path.len()).rev().find(|&len| modules.contains_key(&path[..len])) else { break };
        let (holder, item) = (modules[&path[..len]], &path[len]);
        let import = holder.imports.iter().find(|import| import.last() == Some(item) && import[0] != "std");
        let Some(import) = import else { break };
        let target = match import[0].as_str() {
            "crate" => import[1..].to_vec(),
            "self" => [&holder.module, &import[1..]].concat(),
            "super" => [&holder.module[..holder.module.len() - 1], &import[1..]].concat(),
            _ => [&holder.module, &import[..]].concat(),
        };
        path = [target, path[len + 1..].to_vec()].concat();
    }
    path.truncate((1..=path.len()).rev().find(|&len| modules.contains_key(&path[..len])).unwrap_or(0));
    path
}

/// The strongly connected components of more than one node.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    #[derive(Default)]
    struct CachedMatcher<'a> {
        index: BTreeMap<&'a str, usize>,
        low: BTreeMap<&'a str, usize>,
        stack: Vec<&'a str>,
        found: Vec<Vec<String>>,
    }
    fn visit<'a>(node: &'a str, graph: &'a Graph, search: &mut CachedMatcher<'a>) {
        let index = search.index.len();
        search.index.insert(node, index);
        search.low.insert(node, index);
        search.stack.push(node);
        for next in graph.get(node).into_iter().flatten() {
            if !search.index.contains_key(&**next) {
                visit(next, graph, search);
                let low = search.low[node].min(search.low[&**next]);
                search.low.insert(node, low);
            } else if search.stack.contains(&&**next) {
                let low = search.low[node].min(search.index[&**next]);
                search.low.insert(node, low);
            }
        }
        if search.low[node] == index {
            let at = search.stack.iter().position(|other| *other == node).unwrap();
            let component: Vec<String> = search.stack.split_off(at).into_iter().map(str::to_owned).collect();
            search.found.extend((component.len() > 1).then_some(component));
        }
    }
    let mut search = CachedMatcher::default();
    for node in graph.keys() {
        if !search.index.contains_key(&**node) {
            visit(node, graph, &mut search);
        }
    }
    search.found
}

fn all_circles(files: &[SourceFile]) -> Vec<String> {
    let graphs = folders(files);
    let line = |folder: &Vec<String>, circle: Vec<String>| format!("{}: {}", folder.join("/"), circle.join(" <-> "));
    graphs
        .iter()
        .flat_map(|(folder, graph)| circles(graph).into_iter().map(move |circle| line(folder, circle)))
        .collect()
}

#[test]
fn no_files_of_a_folder_import_each_other_in_a_circle() {
    let found = all_circles(&source_files());
    assert!(found.is_empty(), "{} circles:\n{}", found.len(), found.join("\n"));
}

#[test]
fn planted_circles_are_found() {
    let file = SourceFile::parse;
    let planted = [
        file("a/mod.rs", "mod b; mod c; mod d; pub use c::Item;"),
        file("a/b.rs", "use super::d::D;"),
        file("a/c.rs", "pub struct Item; fn f() { crate::a::b::g(); }"),
        file("a/d.rs", "use super::Item;"),
        file("a/e.rs", "use super::b::B;"),
    ];
    assert_eq!(all_circles(&planted), ["a: b <-> d <-> c"]);
    let two = [file("x/y.rs", "use super::z::Z;"), file("x/z/mod.rs", ""), file("x/z/w.rs", "use crate::x::y::Y;")];
    assert_eq!(all_circles(&two), ["x: y <-> z"]);
}

#[test]
fn imports_one_way_are_no_circle() {
    let file = SourceFile::parse;
    let good = [
        file("a/mod.rs", "mod b; mod c; use b::B; pub struct Shared;"),
        file("a/b.rs", "use super::{Shared, c::C};"),
        file("a/c.rs", "use super::Shared; #[cfg(test)] mod tests { use crate::a::b::B; }"),
    ];
    assert_eq!(all_circles(&good), Vec::<String>::new());
}
