//! Reads the Rust sources below `src/`: the paths each file names, and what the architecture rules forbid. Test modules
//! are left out. Used by [`crate::repo::architecture`] and [`crate::repo::import_cycles`].

use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// Macros that write to the terminal.
const PRINTING: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// One source file as the rules see it.
#[derive(Debug, Default)]
pub(crate) struct SourceFile {
    /// Path below `src/`, with `/`.
    pub(crate) path: String,
    /// Module path from the crate root, without `mod`: `["decode", "ip"]`.
    pub(crate) module: Vec<String>,
    /// Every path the file names, with the module path it is written in.
    pub(crate) names: Vec<NamedPath>,
    /// Names that `pub use` or `use` brings into the file's module: the last segment and the whole path.
    pub(crate) imports: Vec<Vec<String>>,
    /// Uses of `unsafe`.
    pub(crate) unsafe_count: usize,
    /// Calls of printing macros.
    pub(crate) prints: usize,
    /// `extern crate` items.
    pub(crate) extern_crates: usize,
    /// Items other than `mod name;`.
    pub(crate) other_items: usize,
}

/// A path as written.
#[derive(Debug)]
pub(crate) struct NamedPath {
    pub(crate) segments: Vec<String>,
    /// The module it is written in; longer than the file's where modules are inline.
    pub(crate) within: Vec<String>,
}

impl NamedPath {
    /// The path from the crate root, if it begins with `crate`, `smsentry`, `self` or `super`.
    pub(crate) fn path_from_root(&self) -> Option<Vec<String>> {
        let rest = |skip: usize| self.segments[skip..].to_vec();
        match self.segments.first()?.as_str() {
            "crate" | "smsentry" => Some(rest(1)),
            "self" => Some([self.within.clone(), rest(1)].concat()),
            "super" => {
                let up = self.segments.iter().take_while(|segment| *segment == "super").count();
                let parent = self.within.len().checked_sub(up)?;
                Some([self.within[..parent].to_vec(), rest(up)].concat())
            }
            _ => None,
        }
    }
}

impl SourceFile {
    /// Parses the text of the file at `path` below `src/`.
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let module: Vec<String> = stem.split('/').map(str::to_owned).collect();
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let bodyless = |item: &&Item| matches!(item, Item::Mod(module) if module.content.is_none());
        let other_items = syntax.items.iter().filter(|item| !bodyless(item)).count();
        let mut collector = Collector {
            file: Self { path: path.to_owned(), module: module.clone(), other_items, ..Self::default() },
            within: module,
        };
        collector.visit_file(&syntax);
        collector.file
    }

    /// The top-level module the file belongs to.
    pub(crate) fn top(&self) -> &str {
        &self.module[0]
    }
}

/// The package's directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `src/`.
pub(crate) fn source_files() -> Vec<SourceFile> {
    let source = root().join("src");
    let mut paths = Vec::new();
    find_sources(&source, &mut paths);
    assert!(paths.len() > 50, "only {} files", paths.len());
    let read = |path: &PathBuf| {
        let relative = path.strip_prefix(&source).unwrap().to_str().unwrap();
        SourceFile::parse(relative, &fs::read_to_string(path).unwrap())
    };
    paths.iter().map(read).collect()
}

fn find_sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

struct Collector {
    file: SourceFile,
    within: Vec<String>,
}

impl Collector {
    fn name(&mut self, segments: &[String]) {
        if !segments.is_empty() {
            self.file.names.push(NamedPath { segments: segments.to_vec(), within: self.within.clone() });
        }
    }

    fn use_tree(&mut self, prefix: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.use_tree(prefix, &path.tree);
                prefix.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(prefix, tree)),
            UseTree::Name(name) => self.use_leaf(prefix, &name.ident.to_string()),
            UseTree::Rename(rename) => self.use_leaf(prefix, &rename.ident.to_string()),
            UseTree::Glob(_) => self.use_leaf(prefix, "*"),
        }
    }

    fn use_leaf(&mut self, prefix: &[String], last: &str) {
        // `use a::{self}` is `use a`.
        let mut path = prefix.to_vec();
        if last != "self" || path.is_empty() {
            path.push(last.to_owned());
        }
        self.name(&path);
        if self.within == self.file.module {
            self.file.imports.push(path);
        }
    }

    /// The tokens of a macro call or definition: paths are words joined by `::`.
    fn tokens(&mut self, text: &str) {
        let text = text.replace(" :: ", "::").replace(":: ", "::").replace(" ::", "::").replace('$', " ");
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        for path in text.split(|c| !word(c)).map(|path| path.trim_matches(':')) {
            if path.contains("::") {
                self.name(&path.split("::").map(str::to_owned).collect::<Vec<_>>());
            } else if path == "unsafe" {
                self.file.unsafe_count += 1;
            }
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(module) if is_test(&module.attrs) => {}
            Item::Mod(module) => {
                self.within.push(module.ident.to_string());
                visit::visit_item(self, item);
                self.within.pop();
            }
            Item::Use(import) => self.use_tree(&mut Vec::new(), &import.tree),
            Item::ExternCrate(_) => self.file.extern_crates += 1,
            item => visit::visit_item(self, item),
        }
    }

    /// `pub(crate)` names nothing.
    fn visit_vis_restricted(&mut self, _visibility: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.name(&path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        let prints = mac.path.get_ident().is_some_and(|name| PRINTING.iter().any(|printing| name == printing));
        self.file.prints += usize::from(prints);
        self.tokens(&mac.tokens.to_string());
        visit::visit_macro(self, mac);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.file.unsafe_count += 1;
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.file.unsafe_count += usize::from(matches!(signature.safety, syn::Safety::Unsafe(_)));
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.file.unsafe_count += usize::from(item.unsafety.is_some());
        visit::visit_item_impl(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.file.unsafe_count += usize::from(item.unsafety.is_some());
        visit::visit_item_trait(self, item);
    }

    fn visit_item_foreign_mod(&mut self, item: &'ast syn::ItemForeignMod) {
        self.file.unsafe_count += 1;
        visit::visit_item_foreign_mod(self, item);
    }
}
