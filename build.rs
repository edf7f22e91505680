//! Linker arguments of the shared library; the built-in dialects in `OUT_DIR`; with the feature `header`, the C header and its symbol list in `OUT_DIR`.

use std::env;

// The number in the SONAME is IMGTASK_ABI_VERSION.
const ABI_VERSION: u32 = 0;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos" | "ios") => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libimgtask.{ABI_VERSION}.dylib");
        }
        Ok("windows") => {}
        _ => {
            // Without a SONAME a program that was linked by path looks for that path at run time.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libimgtask.so.{ABI_VERSION}");
            // A fork handler and thread-locals point into the library: once loaded it stays.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
    }
    builtin::write();
    #[cfg(feature = "header")]
    header::write();
}

/// `src/dialect/builtin/*.json` as Rust constants.
mod builtin {
    use std::env;
    use std::fs;
    use std::path::PathBuf;

    const FOLDER: &str = "src/dialect/builtin";
    /// The documented services, before all others.
    const FIRST: [&str; 3] = ["dimilinks", "dimilinks-legacy", "lemondata"];
    /// Members that only people read.
    const FOR_READERS: [&str; 2] = ["sources", "notes"];

    pub(super) fn write() {
        println!("cargo:rerun-if-changed={FOLDER}");
        let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
        let entries = fs::read_dir(root.join(FOLDER)).unwrap_or_else(|error| panic!("{FOLDER}: {error}"));
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("a readable entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .map(|path| path.file_stem().expect("a file").to_string_lossy().into_owned())
            .collect();
        let rank = |name: &String| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len());
        names.sort_by(|a, b| (rank(a), a).cmp(&(rank(b), b)));
        let documents: Vec<String> = names
            .iter()
            .map(|name| {
                let path = format!("{FOLDER}/{name}.json");
                println!("cargo:rerun-if-changed={path}");
                fs::read_to_string(root.join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"))
            })
            .collect();
        // Who writes dialects is shown the documents as they were written.
        let (documents, pairs) = if env::var_os("CARGO_FEATURE_DIALECT_TOOLS").is_some() {
            (documents.join("\0").into_bytes(), Vec::new())
        } else {
            let documents: Vec<String> = documents.iter().map(|document| without_readers_part(document)).collect();
            packed(documents.join("\0").into_bytes())
        };
        let constants = format!(
            "const COUNT: usize = {};\nconst NAMES: &str = {:?};\nconst DOCUMENTS: &[u8] = &{documents:?};\n\
             const PAIRS: &[[u8; 2]] = &{pairs:?};\n",
            names.len(),
            names.join(" "),
        );
        fs::write(out.join("builtin.rs"), constants).expect("OUT_DIR is writable");
    }

    /// The document on one line, without the members that only people read. These are lists of texts.
    fn without_readers_part(json: &str) -> String {
        let mut text = String::new();
        let (mut in_text, mut escaped) = (false, false);
        for c in json.chars() {
            if in_text || !c.is_ascii_whitespace() {
                text.push(c);
            }
            in_text ^= c == '"' && !escaped;
            escaped = in_text && c == '\\' && !escaped;
        }
        for member in FOR_READERS {
            // Inside a text the quotes would have a backslash before them.
            let Some(start) = text.find(&format!(",\"{member}\":[")) else { continue };
            let end = text[start..].find("\"],").expect("a list of texts, and not the last member");
            text.replace_range(start..start + end + 2, "");
        }
        text
    }

    /// Byte pair encoding: the pair that stands most often becomes a byte above ASCII, again and again. Gives what the pairs are.
    fn packed(mut text: Vec<u8>) -> (Vec<u8>, Vec<[u8; 2]>) {
        assert!(text.is_ascii(), "the built-in dialects are ASCII but for what people read");
        let mut pairs = Vec::new();
        for byte in 128..=255 {
            let mut counts = std::collections::BTreeMap::<[u8; 2], usize>::new();
            for pair in text.windows(2).filter(|pair| !pair.contains(&0)) {
                *counts.entry([pair[0], pair[1]]).or_default() += 1;
            }
            let Some((&pair, &count)) = counts.iter().max_by_key(|(_, count)| **count) else { break };
            if count < 4 {
                break;
            }
            pairs.push(pair);
            let mut shorter = Vec::with_capacity(text.len());
            let mut rest = &text[..];
            while let Some((&first, after)) = rest.split_first() {
                let is_pair = rest.starts_with(&pair);
                shorter.push(if is_pair { byte } else { first });
                rest = if is_pair { &after[1..] } else { after };
            }
            text = shorter;
        }
        (text, pairs)
    }
}

#[cfg(feature = "header")]
mod header {
    use std::env;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Ends the macros of the header; what follows is cbindgen's.
    const FIRST_ITEM: &str = "/* items */";

    /// Where C names come from, in the order of the header.
    const SOURCES: [&str; 14] = [
        "src/error.rs",
        "src/task.rs",
        "src/log.rs",
        "src/capi/log.rs",
        "src/capi/library.rs",
        "src/capi/error.rs",
        "src/capi/client.rs",
        "src/capi/blocking.rs",
        "src/capi/task.rs",
        "src/capi/bytes.rs",
        "src/fleet/job.rs",
        "src/fleet/event.rs",
        "src/capi/job.rs",
        "src/capi/event.rs",
    ];

    /// The header from top to bottom: each section's title and what stands in it.
    const SECTIONS: [(&str, &[&str]); 8] = [
        (
            "Library",
            &[
                "imgtask_status",
                "imgtask_version",
                "imgtask_abi_version",
                "imgtask_status_name",
                "imgtask_confidence",
                "imgtask_provider_info",
                "imgtask_provider_get",
                "imgtask_debug_live_handles",
            ],
        ),
        (
            "Error",
            &[
                "imgtask_error",
                "imgtask_error_info",
                "imgtask_error_message",
                "imgtask_error_get",
                "imgtask_error_free",
            ],
        ),
        (
            "Client",
            &[
                "imgtask_client",
                "imgtask_log_level",
                "imgtask_log_sink",
                "imgtask_client_options",
                "imgtask_client_create",
                "imgtask_client_set_key",
                "imgtask_client_interrupt",
                "imgtask_client_close",
                "imgtask_client_free",
                "imgtask_stats",
                "imgtask_client_get_stats",
            ],
        ),
        (
            "Blocking calls, on the calling thread",
            &[
                "imgtask_task",
                "imgtask_bytes",
                "imgtask_flag",
                "imgtask_client_submit",
                "imgtask_client_fetch",
                "imgtask_client_wait",
                "imgtask_client_cancel_task",
                "imgtask_client_download",
                "imgtask_client_download_file",
            ],
        ),
        (
            "Jobs, on threads of the library",
            &[
                "imgtask_goal",
                "imgtask_job",
                "imgtask_client_start",
                "imgtask_client_stop",
                "imgtask_client_pending",
                "imgtask_client_resume",
                "imgtask_client_forget",
            ],
        ),
        (
            "Events",
            &[
                "imgtask_event_kind",
                "imgtask_event",
                "imgtask_client_next_event",
                "imgtask_event_clear",
                "imgtask_client_event_fd",
            ],
        ),
        (
            "Task",
            &[
                "imgtask_task_state",
                "imgtask_failure_action",
                "imgtask_task_info",
                "imgtask_task_get",
                "imgtask_image_info",
                "imgtask_task_get_image",
                "imgtask_task_json",
                "imgtask_task_free",
            ],
        ),
        (
            "Bytes",
            &[
                "imgtask_bytes_format",
                "imgtask_bytes_info",
                "imgtask_bytes_get",
                "imgtask_bytes_decode",
                "imgtask_bytes_free",
            ],
        ),
    ];

    pub(super) fn write() {
        let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
        let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is readable");
        config.header = Some(read(&root.join("src/capi/header_top.h")));
        config.after_includes =
            Some(format!("\n{}{FIRST_ITEM}", macros(&read(&root.join("src/capi/header_macros.h")))));
        let mut builder = cbindgen::Builder::new().with_config(config);
        for source in SOURCES {
            println!("cargo:rerun-if-changed={source}");
            builder = builder.with_src(root.join(source));
        }
        println!("cargo:rerun-if-changed=cbindgen.toml");
        let bindings = builder.generate().expect("the C ABI can be put into a header");
        let mut header = Vec::new();
        bindings.write(&mut header);
        let header = String::from_utf8(header).expect("cbindgen writes UTF-8");
        fs::write(out.join("imgtask.h"), in_sections(&header)).expect("OUT_DIR is writable");
        bindings.generate_symfile(out.join("imgtask.sym"));
    }

    fn read(path: &Path) -> String {
        println!("cargo:rerun-if-changed={}", path.display());
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Fills the package's version into the macros.
    fn macros(template: &str) -> String {
        let mut text = template.to_owned();
        for part in ["MAJOR", "MINOR", "PATCH"] {
            let number = env::var(format!("CARGO_PKG_VERSION_{part}")).expect("cargo sets it");
            text = text.replace(&format!("@{part}@"), &number);
        }
        text.replace("@ABI@", &super::ABI_VERSION.to_string())
    }

    /// Puts what cbindgen wrote, all types first, into the order of a manual.
    fn in_sections(header: &str) -> String {
        const OPEN: &str = "#ifdef __cplusplus\nextern \"C\" {\n#endif // __cplusplus\n";
        const CLOSE: &str = "#ifdef __cplusplus\n}  // extern \"C\"";
        let (before, code) = header.split_once(FIRST_ITEM).expect("the code follows the macros");
        let (code, after) = code.split_once(CLOSE).expect("the header ends in the end of extern C");
        // The typedefs are there, so that C reads like C++.
        let code = code
            .replace(OPEN, "")
            .replace("(struct ", "(")
            .replace("const struct ", "const ")
            .replace(" struct imgtask_", " imgtask_")
            .replace("typedef imgtask_", "typedef struct imgtask_");
        // Every item has a comment, which begins at the start of a line.
        let mut items: Vec<(String, String)> = code
            .split("\n/**\n")
            .filter(|item| !item.trim().is_empty())
            .map(|item| (name(item), format!("/**\n{}\n", short_comments(item.trim_end()))))
            .collect();
        let mut text = format!("{}\n\n{OPEN}", before.trim_end());
        for (title, names) in SECTIONS {
            let line = "=".repeat(100);
            text += &format!("\n/* {line}\n * {title}\n * {line} */\n");
            for wanted in names {
                let at = items.iter().position(|(name, _)| name == wanted);
                let (_, item) = items.remove(at.unwrap_or_else(|| panic!("{wanted} is not in the sources")));
                text += &format!("\n{item}");
            }
        }
        assert!(items.is_empty(), "{:?} stands in no section", items.iter().map(|(name, _)| name).collect::<Vec<_>>());
        format!("{text}\n{CLOSE}{after}")
    }

    /// The name that an item of the header declares.
    fn name(item: &str) -> String {
        let (_, code) = item.split_once("*/").unwrap_or_else(|| panic!("an item without a comment: {item}"));
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut names = code.match_indices("imgtask_").map(|(at, _)| {
            let name = code[at..].split(|c| !is_name(c)).next().unwrap_or_default();
            (name, code[at + name.len()..].starts_with('('))
        });
        let first = names.next().unwrap_or_else(|| panic!("an item without a name: {item}"));
        let function = Some(first).into_iter().chain(names).find(|(_, called)| *called);
        function.unwrap_or(first).0.to_owned()
    }

    /// Puts a comment of one line inside a struct or an enum onto one line.
    fn short_comments(item: &str) -> String {
        let lines: Vec<&str> = item.lines().collect();
        let mut text = String::new();
        let mut at = 0;
        while at < lines.len() {
            if lines[at] == "    /**" && lines.get(at + 2) == Some(&"     */") {
                text += &format!("    /**{} */\n", lines[at + 1].trim_start_matches("     *"));
                at += 3;
            } else {
                text += &format!("{}\n", lines[at]);
                at += 1;
            }
        }
        text.trim_end().to_owned()
    }
}
