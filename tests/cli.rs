//! The command line as a user meets it: the real binary against `imgtask sandbox`, every process bounded in time.
//!
//! Every run, whatever it is about, also asserts that neither the key nor a link's signature is on the standard error.

mod command;

use std::fs;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use command::*;

// The way of a task.

#[test]
fn submit_prints_the_id_and_nothing_else() {
    let sandbox = Sandbox::quick();
    let run = sandbox.run(&["submit", "--prompt", "a fox"]).ends_with(0);
    assert_eq!(run.lines().len(), 1);
    assert!(run.out.starts_with("img_"), "{}", run.out);
    run.says("imgtask wait --provider dimilinks img_");
}

#[test]
fn submit_with_out_goes_all_the_way_to_the_file() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(&folder, "fox.png");
    let run = sandbox
        .run(&["submit", "--prompt", "a fox", "--set", "size=640x480", "--out", &file, "--interval", "50ms"])
        .ends_with(0);
    assert_eq!(run.out.trim(), file);
    assert_eq!(assert_image(&file), (640, 480));
    assert_eq!(names(folder.path()), ["fox.png"]);
}

#[test]
fn submit_with_wait_prints_the_links() {
    let sandbox = Sandbox::quick();
    let run = sandbox.run(&["submit", "--prompt", "a fox", "--wait", "--interval", "50ms"]).ends_with(0);
    let cells: Vec<&str> = run.out.trim().split('\t').collect();
    assert_eq!(cells.len(), 3, "{}", run.out);
    assert!(
        cells[0].starts_with("img_") && cells[1] == "0" && cells[2].starts_with(&sandbox.dimilinks.0),
        "{}",
        run.out
    );
}

#[test]
fn every_provider_goes_from_prompt_to_file() {
    let sandbox = Sandbox::quick();
    for (provider, format) in [("dimilinks", "png"), ("dimilinks-legacy", "jpeg"), ("lemondata", "webp")] {
        let folder = tempfile::tempdir().expect("a folder");
        let pattern = path(&folder, "new/{id}_{index}.{ext}");
        let format = format!("output_format={format}");
        let arguments =
            ["submit", "-p", provider, "--prompt", "a fox", "--set", &format, "-o", &pattern, "--interval", "50ms"];
        let run = sandbox.run(&arguments).ends_with(0);
        assert_image(run.out.trim());
        assert_eq!(names(&folder.path().join("new")).len(), 1);
    }
}

#[test]
fn a_request_comes_from_a_file_or_from_stdin_and_set_replaces_its_members() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let request = path(&folder, "request.json");
    fs::write(&request, r#"{"prompt": "a fox", "size": "320x200"}"#).expect("written");
    let file = path(&folder, "a.png");
    sandbox.run(&["submit", "--request", &request, "-o", &file, "--interval", "50ms"]).ends_with(0);
    assert_eq!(assert_image(&file), (320, 200));

    let mut command =
        sandbox.command(&["submit", "--request", "-", "--set", "size=200x320", "-fo", &file, "--interval", "50ms"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("imgtask starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&fs::read(&request).expect("read")).expect("written");
    drop(stdin);
    collect(child).ends_with(0);
    assert_eq!(assert_image(&file), (200, 320));
}

#[test]
fn fetch_says_where_a_task_stands() {
    let sandbox = Sandbox::quick();
    let id = sandbox.task("a fox");
    sandbox.run(&["wait", &id, "--interval", "50ms"]).ends_with(0);
    let run = sandbox.run(&["fetch", &id]).ends_with(0);
    for part in [&format!("task      {id}"), "state     succeeded", "progress  100 %", "image 0   http://"] {
        assert!(run.out.contains(part), "no {part:?} in\n{}", run.out);
    }
}

#[test]
fn wait_takes_several_tasks_side_by_side_from_arguments_or_stdin() {
    let sandbox = Sandbox::quick();
    let ids: Vec<String> = (0..3).map(|n| sandbox.task(&format!("fox {n}"))).collect();
    let run = sandbox.run(&["wait", &ids[0], &ids[1], &ids[2], "--interval", "50ms"]).ends_with(0);
    let mut seen: Vec<&str> = run.lines().iter().filter_map(|line| line.split('\t').next()).collect();
    let mut wanted: Vec<&str> = ids.iter().map(String::as_str).collect();
    seen.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(seen, wanted);

    let mut command = sandbox.command(&["wait", "-", "--json", "--interval", "50ms"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("imgtask starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(ids.join("\n").as_bytes()).expect("written");
    drop(stdin);
    assert_eq!(collect(child).ends_with(0).objects().len(), 3);
}

#[test]
fn wait_reads_a_list_of_any_length_as_watch_does() {
    let sandbox = Sandbox::start(&[]);
    let ids = sandbox.tasks(2, "fox {n} [duration:0]");
    let read = |list: &str| {
        let mut file = tempfile::tempfile().expect("a list");
        file.write_all(list.as_bytes()).expect("written");
        file.rewind().expect("from its beginning");
        let mut command = sandbox.command(&["wait", "-", "--json", "--interval", "50ms"]);
        command.stdin(file);
        finish(command)
    };
    let remarks = "# a remark that is longer than a task\n".repeat(40_000);
    let run = read(&format!("\u{feff}{}\r\n\n{remarks}  {}\n", ids[0], ids[1])).ends_with(0);
    let told: Vec<_> = run.objects().into_iter().map(|task| task["id"].clone()).collect();
    assert!(told.len() == 2 && ids.iter().all(|id| told.contains(&id.as_str().into())), "{told:?}");
    let asked = sandbox.control("GET", "/stats", "")["requests"].clone();
    read(&format!("{}\n\n{}\n", ids[0], "x".repeat(20_000)))
        .ends_with(2)
        .says("line 3 of the standard input is no task");
    read("# none\n").ends_with(2).says("names no task");
    assert_eq!(sandbox.control("GET", "/stats", "")["requests"], asked);
}

#[test]
fn several_images_for_one_name_are_numbered_and_one_can_be_chosen() {
    let sandbox = Sandbox::quick();
    let run =
        sandbox.run(&["submit", "--prompt", "foxes", "--set", "n=2", "--set", "resolution=2k", "--set", "size=64x64"]);
    let id = run.ends_with(0).out.trim().to_string();
    sandbox.run(&["wait", &id, "--interval", "50ms"]).ends_with(0);
    let folder = tempfile::tempdir().expect("a folder");
    let run = sandbox.run(&["download", &id, "--out", &path(&folder, "fox.png")]).ends_with(0);
    assert_eq!(names(folder.path()), ["fox-0.png", "fox-1.png"]);
    assert_eq!(run.lines().len(), 2);

    let folder = tempfile::tempdir().expect("a folder");
    let run = sandbox.run(&["download", &id, "--index", "1", "--out", &path(&folder, "")]).ends_with(0);
    assert_eq!(names(folder.path()), [format!("{id}-1.png")]);
    assert_image(run.out.trim());
    sandbox
        .run(&["download", &id, "--index", "7", "--out", &path(&folder, "x/")])
        .ends_with(2)
        .says(&format!("no image 7: task {id} has 2"));
    // One was asked for: it has the name that was given.
    sandbox.run(&["download", &id, "--index", "0", "--out", &path(&folder, "one.png")]).ends_with(0);
    assert_image(folder.path().join("one.png"));
}

#[test]
fn names_that_are_taken_are_found_before_several_images_are_paid_for() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("fox-1.png"), "mine").expect("written");
    let (fox, named) = (path(&folder, "fox.png"), path(&folder, ""));
    for more in [
        &["--set", "n=2", "--out", &fox][..],
        &["--set", "n=2", "--set", "output_format=png", "--out", &named, "--name-pattern", "fox.{ext}"],
        &["--set", "n=2", "--out", &named, "--name-pattern", "fox-{index}.png"],
    ] {
        let run = sandbox.run(&[&["submit", "--prompt", "foxes"], more].concat()).ends_with(8);
        run.says("fox-1.png exists already").says("nothing was submitted");
    }
    let stdout = sandbox.run(&["submit", "--prompt", "foxes", "--set", "n=2", "--out", "-"]);
    stdout.ends_with(2).says("- takes one");
    assert_eq!(sandbox.control("GET", "/stats", "")["requests"], 0);
    // One image has another name, and what may go may go.
    sandbox.run(&["submit", "--prompt", "a fox", "--out", &fox, "--interval", "50ms"]).ends_with(0);
    let two = ["submit", "--prompt", "foxes", "--set", "n=2", "--force", "--out", &fox, "--interval", "50ms"];
    sandbox.run(&two).ends_with(0);
    assert_eq!(names(folder.path()), ["fox-0.png", "fox-1.png", "fox.png"]);
}

#[cfg(unix)]
#[test]
fn names_that_no_file_can_have_are_found_before_anything_is_paid_for() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let dangling = path(&folder, "dangling.png");
    std::os::unix::fs::symlink("nowhere.png", &dangling).expect("a link");
    fs::write(folder.path().join("e.png"), "mine").expect("written");
    fs::write(folder.path().join("fox-1.png"), "mine").expect("written");
    let submit = |more: &[&str]| sandbox.run(&[&["submit", "--prompt", "a fox"], more].concat()).ends_with(8);
    submit(&["--out", &dangling]).says("exists already");
    submit(&["--out", &path(&folder, "e.{ext}")]).says("e.png exists already");
    for count in [&["--set", "n=1", "--set", "num_images=2"][..], &["--set", "n=\"2\""]] {
        submit(&[count, &["--out", &path(&folder, "fox.png")]].concat()).says("fox-1.png exists already");
    }
    submit(&["--out", &path(&folder, format!("{}.png", "a".repeat(300)))]).says("cannot write");
    submit(&["--out", &path(&folder, format!("{}-{{id}}.png", "a".repeat(300)))]).says("cannot write");
    submit(&["--out", "/dev/null", "--force"]).says("is no file");
    if cfg!(target_os = "linux") {
        submit(&["--out", "/proc/nowhere/"]).says("cannot make /proc/nowhere");
        submit(&["--out", "/proc/fox.png"]).says("cannot make a file in /proc");
    }
    assert_eq!(sandbox.control("GET", "/stats", "")["requests"], 0);
    assert_eq!(names(folder.path()), ["dangling.png", "e.png", "fox-1.png"]);
    // A folder that is made for what can be saved.
    let made = path(&folder, "made/{id}/fox.{ext}");
    sandbox.run(&["submit", "--prompt", "a fox", "--out", &made, "--interval", "50ms"]).ends_with(0);
}

#[cfg(unix)]
#[test]
fn signals_reach_a_command_in_a_sandbox_from_its_first_moment_and_its_end_is_its_own() {
    // The command sends them itself, to imgtask, as the first thing that it does; none takes ten seconds to come back.
    let run = |before: &str, script: &str| {
        let stay = "i=0; while [ $i -lt 200 ]; do sleep 0.05; i=$((i + 1)); done; exit 99";
        let mut shell = alone("sh");
        let program = format!("{before}; exec \"$0\" sandbox -- sh -c \"$1\"");
        shell.args(["-c", &program, BINARY, &script.replace("STAY", stay)]);
        finish(shell)
    };
    std::thread::scope(|scope| {
        for (before, script, code) in [
            (":", "trap 'exit 21' TERM; kill -TERM $PPID; STAY", 21),
            (":", "trap 'exit 22' INT; kill -INT $PPID; STAY", 22),
            (":", "trap 'exit 23' HUP; kill -HUP $PPID; STAY", 23),
            (":", "trap 'exit 24' QUIT; kill -QUIT $PPID; STAY", 24),
            (":", "kill -TERM $PPID; STAY", 128 + 15),
            (":", "kill -KILL $$", 128 + 9),
            // What was ignored, as with nohup, the command ignores as well; nothing is blocked.
            ("trap '' HUP", "trap 'exit 25' TERM; kill -HUP $PPID; kill -HUP $$; kill -TERM $PPID; STAY", 25),
        ] {
            scope.spawn(move || run(before, script).ends_with(code));
        }
    });
    if cfg!(target_os = "linux") {
        let masks = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
        let plain = Command::new("sh").args(["-c", &format!("trap '' HUP; {masks}")]).output().expect("sh runs");
        assert_eq!(run("trap '' HUP", masks).ends_with(0).out, String::from_utf8_lossy(&plain.stdout));
    }
}

#[test]
fn files_of_a_folder_are_named_by_a_pattern() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let new = path(&folder, "new");
    let order = ["--set", "n=2", "--set", "resolution=2k", "--set", "size=64x64", "--interval", "50ms"];
    let named = ["submit", "--prompt", "foxes", "--out", &new, "--name-pattern", "fox-{index}.{ext}"];
    let run = sandbox.run(&[&named[..], &order[..]].concat()).ends_with(0);
    assert_eq!(names(Path::new(&new)), ["fox-0.png", "fox-1.png"]);
    assert_eq!(run.lines(), [path(&folder, "new/fox-0.png"), path(&folder, "new/fox-1.png")]);

    let id = sandbox.run(&[&["submit", "--prompt", "foxes"], &order[..6]].concat()).ends_with(0).out.trim().to_string();
    sandbox.run(&["wait", &id, "--out", &path(&folder, "{id}"), "--name-pattern", "a.{ext}", "--interval", "50ms"]);
    assert_eq!(names(&folder.path().join(&id)), ["a-0.png", "a-1.png"]);
    let again = ["download", &id, "--index", "1", "--out", &new, "--name-pattern", "{id}_{index}.{ext}"];
    sandbox.run(&again).ends_with(0);
    assert_image(folder.path().join(format!("new/{id}_1.png")));
}

#[test]
fn a_name_that_cannot_be_meant_is_refused_before_anything_is_asked() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let (new, taken) = (path(&folder, "new"), path(&folder, "taken.png"));
    fs::write(&taken, "mine").expect("written");
    let submit = |arguments: &[&str]| sandbox.run(&[&["submit", "--prompt", "a fox"], arguments].concat());
    for odd in ["{name}.{ext}", "{id", "../{id}.{ext}", "a/{id}.{ext}", "/{id}", "..", ""] {
        submit(&["--out", &new, "--name-pattern", odd]).ends_with(2).says("for example").says(odd);
    }
    submit(&["--out", &path(&folder, "{name}.png")]).ends_with(2).says("{id}, {index} and {ext}");
    submit(&["--out", &path(&folder, "{ext}/a.png")]).ends_with(2).says("{ext}");
    submit(&["--out", "-", "--name-pattern", "{id}"]).ends_with(2);
    submit(&["--out", &taken, "--name-pattern", "{id}"]).ends_with(2).says("is a file");
    submit(&["--out", &path(&folder, "new.png"), "--name-pattern", "{id}.{ext}"])
        .ends_with(2)
        .says("looks like a file");
    submit(&["--name-pattern", "{id}"]).ends_with(2).says("--out");
    submit(&["--out", &path(&folder, "taken.png/")]).ends_with(8).says("not a folder");
    submit(&["--out", &path(&folder, ""), "--name-pattern", "taken.png"]).ends_with(8).says("--force");
    let wait = |out: &str| sandbox.run(&["wait", "img_1", "img_2", "--force", "--out", out]);
    wait(&path(&folder, "one.png")).ends_with(2).says("{id}");
    wait("-").ends_with(2).says("one image");
    assert_eq!(names(folder.path()), ["taken.png"]);
    assert_eq!(sandbox.control("GET", "/stats", "")["requests"], 0);
}

#[test]
fn one_image_goes_to_the_standard_output_whole() {
    let sandbox = Sandbox::quick();
    let id = sandbox.task("a fox");
    sandbox.run(&["wait", &id, "--interval", "50ms"]).ends_with(0);
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(&folder, "piped");
    let mut command = sandbox.command(&["download", &id, "--out", "-"]);
    command.stdout(fs::File::create(&file).expect("a file")).stderr(Stdio::null());
    assert!(bounded(&mut command.spawn().expect("imgtask starts")).success());
    assert_image(&file);
    sandbox.run(&["download", &id, "--out", "-", "--json"]).ends_with(2);
}

#[test]
fn images_that_cannot_be_asked_for_again_are_saved_rather_than_lost() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = sandbox.command(&["submit", "-p", "lemondata", "--prompt", "a fox"]);
    command.args(["--set", "async=false", "--set", "response_format=b64_json"]).current_dir(&folder);
    let run = finish(command).ends_with(0).says("saving them here");
    assert!(run.out.starts_with("image-"), "{}", run.out);
    assert_image(folder.path().join(run.out.trim()));
}

#[test]
fn a_dialect_of_ones_own_is_spoken() {
    let sandbox = Sandbox::quick();
    let id = sandbox.task("a fox");
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(&folder, "dialect.json");
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dialect/builtin/dimilinks.json");
    let dialect = fs::read_to_string(built_in).expect("a dialect").replace("\"dimilinks\"", "\"my-gateway\"");
    fs::write(&file, dialect).expect("written");
    let arguments =
        ["wait", "--json", "--dialect", &file, "--base-url", &sandbox.dimilinks.0, &id, "--interval", "50ms"];
    assert_eq!(sandbox.run(&arguments).ends_with(0).object()["provider"], "my-gateway");
}

#[test]
fn a_name_that_promises_another_format_is_told() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(&folder, "fox.jpg");
    let arguments = ["submit", "--prompt", "a fox", "--set", "output_format=png", "-o", &file, "--interval", "50ms"];
    sandbox.run(&arguments).ends_with(0).says("holds a PNG image");
}

// JSON.

#[test]
fn json_has_the_documented_members_and_the_file() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(&folder, "fox.png");
    let arguments =
        ["submit", "--prompt", "a fox", "--set", "size=64x48", "--out", &file, "--json", "--interval", "50ms"];
    let task = sandbox.run(&arguments).ends_with(0).object();
    let members = [
        "id",
        "ref",
        "provider",
        "state",
        "final",
        "provider_status",
        "progress",
        "images",
        "failure",
        "created_at",
        "completed_at",
        "looked_at_ms",
        "revised_prompt",
        "model",
        "conversation_id",
        "billing_id",
        "credit_cost",
        "error",
    ];
    let object = task.as_object().expect("an object");
    assert_eq!(object.len(), members.len(), "{object:?}");
    for member in members {
        assert!(object.contains_key(member), "no member {member}");
    }
    assert_eq!((&task["state"], &task["progress"], &task["final"]), (&"succeeded".into(), &100.into(), &true.into()));
    let image = &task["images"][0];
    assert_eq!((&image["index"], &image["inline"]), (&0.into(), &false.into()));
    assert!(image["url"].as_str().is_some_and(|url| url.contains("sig=")), "the link is the result asked for");
    let saved = &image["file"];
    assert_eq!((&saved["path"], &saved["media_type"]), (&file.clone().into(), &"image/png".into()));
    assert_eq!((&saved["width"], &saved["height"]), (&64.into(), &48.into()));
    assert_eq!(saved["byte_size"], fs::metadata(&file).expect("a file").len());
    assert_eq!(saved["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn json_tells_a_failure_and_an_error() {
    let sandbox = Sandbox::quick();
    let id = sandbox.task("[fail:content_moderation] a fox");
    let task = sandbox.run(&["wait", "--json", &id, "--interval", "50ms"]).ends_with(3).object();
    assert_eq!(task["failure"]["action"], "change_request");
    assert_eq!(task["failure"]["code"], "content_moderation");
    assert!(task["error"].is_null() && task["progress"].is_null());

    let task = sandbox.run(&["fetch", "--json", "img_000000000000000000000000"]).ends_with(5).object();
    assert_eq!((&task["error"]["status"], &task["error"]["http_status"]), (&"not_found".into(), &404.into()));
    assert_eq!(task["error"]["retry_after_ms"], -1);
}

// Exit codes.

#[test]
fn usage_mistakes_end_with_2_and_say_what_would_be_right() {
    let bare = |arguments: &[&str]| finish(imgtask(arguments)).ends_with(2);
    bare(&["fetch", "img_1"]).says("which provider?").says("dimilinks, dimilinks-legacy, lemondata");
    bare(&["fetch", "-p", "dimilinks", "img_1"]).says("DIMILINKS_API_KEY");
    bare(&["fetch", "-p", "nobody", "img_1"]).says("dimilinks");
    bare(&["wait", "-p", "dimilinks", "img_1", "--timeout", "soon"]).says("90s");
    bare(&["submit", "-p", "dimilinks"]).says("--prompt").says("--request");
    bare(&["submit", "-p", "dimilinks", "--prompt", "x", "--set", "size"]).says("NAME=VALUE");
    bare(&["submit", "-p", "dimilinks", "--prompt", "x", "--timeout", "5"]).says("--wait");
    bare(&["submit", "-p", "dimilinks", "--request", "-", "--key-file", "-"]).says("standard input");
    bare(&["fetch", "-p", "dimilinks", "img_1", "--proxy", "http://u:p@127.0.0.1:1"]).says("--proxy env");
}

#[test]
fn a_key_among_the_arguments_is_refused_with_the_reason_and_not_repeated() {
    for arguments in [
        &["wait", "--api-key", CANARY, "img_1"][..],
        &["submit", &format!("--api-key={CANARY}"), "--prompt", "x"],
        &["--token", CANARY, "fetch", "img_1"],
    ] {
        finish(imgtask(arguments)).ends_with(2).says("can read the arguments").says("--key-file");
    }
}

#[test]
fn a_failed_task_ends_with_3_and_says_what_to_do() {
    let sandbox = Sandbox::quick();
    for (code, advice) in [
        ("upstream_error", "submit it again"),
        ("content_moderation", "change the request"),
        ("account_forbidden", "check the account"),
    ] {
        let id = sandbox.task(&format!("[fail:{code}] a fox"));
        sandbox.run(&["wait", &id, "--interval", "50ms"]).ends_with(3).says(&id).says(code).says(advice);
        sandbox.run(&["fetch", &id]).ends_with(3).says(advice);
        sandbox.run(&["download", &id]).ends_with(3).says(advice);
    }
}

#[test]
fn a_task_that_is_not_finished_ends_with_4_and_says_how_to_go_on() {
    let sandbox = Sandbox::quick();
    let id = sandbox.task("[never] a fox");
    let resume = format!("imgtask wait --provider dimilinks --base-url {} {id}", sandbox.dimilinks.0);
    let begun = Instant::now();
    sandbox
        .run(&["wait", "-p", "dimilinks", "--base-url", &sandbox.dimilinks.0, &id, "-t", "300ms", "--interval", "50ms"])
        .ends_with(4)
        .says(&resume);
    assert!(begun.elapsed() < Duration::from_secs(10));
    sandbox.run(&["fetch", &id]).ends_with(4);
    let folder = tempfile::tempdir().expect("a folder");
    sandbox.run(&["download", &id, "-o", &path(&folder, "fox.png")]).ends_with(4).says("not finished");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn an_unknown_task_ends_with_5() {
    let sandbox = Sandbox::quick();
    for command in ["fetch", "wait", "download"] {
        sandbox.run(&[command, "img_000000000000000000000000"]).ends_with(5).says("provider and the key");
    }
}

#[test]
fn a_refusal_ends_with_6() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let key_file = path(&folder, "key");
    fs::write(&key_file, format!("{CANARY}\nsecond line\n")).expect("written");
    sandbox.run(&["fetch", "img_000000000000000000000000", "--key-file", &key_file]).ends_with(6);
    for (fault, words) in
        [("http-402", "top up"), ("http-429:7", "wait 7 s first"), ("http-400", "refused the request (HTTP 400")]
    {
        let prompt = format!("[create.{fault}] a fox");
        sandbox.run(&["submit", "--prompt", &prompt]).ends_with(6).says(words);
    }
}

#[test]
fn a_network_fault_ends_with_7() {
    let sandbox = Sandbox::quick();
    let gone = "http://127.0.0.1:1";
    sandbox.run(&["fetch", "img_1", "--base-url", gone]).ends_with(7).says("error:");
    sandbox.run(&["submit", "--prompt", "a fox", "--base-url", gone]).ends_with(7);
    sandbox.run(&["submit", "--prompt", "[create.http-500] a fox"]).ends_with(7);
}

#[test]
fn who_waits_is_told_once_why_nothing_comes_while_looks_fail() {
    let sandbox = Sandbox::start(&[]);
    // Longer than looks fail: up to seven seconds.
    let tasks = sandbox.tasks(2, "[poll.http-503*3] [duration:8] a fox");
    let (waited, watched) = std::thread::scope(|scope| {
        let watched = scope.spawn(|| sandbox.run(&["watch", &tasks[1]]));
        (sandbox.run(&["wait", &tasks[0], "--interval", "50ms"]), watched.join().expect("no panic"))
    });
    for run in [waited.ends_with(0), watched.ends_with(0).says("answered again")] {
        assert_eq!(run.err.matches("no answer, tried again: ").count(), 1, "{}", run.err);
    }
    let quiet = sandbox.run(&["wait", "img_1", "-q", "--base-url", "http://127.0.0.1:1", "--timeout", "1s"]);
    assert_eq!(quiet.ends_with(4).err.lines().filter(|line| !line.starts_with("  hint:")).count(), 1);
}

#[test]
fn an_image_that_was_paid_for_and_not_saved_can_be_found_again() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(&folder, "fox.png");
    // Without the progress nothing but the problem names the task.
    let arguments = ["submit", "--quiet", "--prompt", "[image-html*1] a fox", "--out", &file];
    let run = sandbox.run(&arguments).ends_with(7).says("web page");
    let (_, id) = run.err.trim_end().rsplit_once(" img_").unwrap_or_default();
    assert!(!id.is_empty() && run.err.contains("imgtask download"), "{}", run.err);
    sandbox.run(&["download", &format!("img_{id}"), "--out", &file]).ends_with(0);
    assert_image(&file);
}

#[test]
fn a_file_is_never_overwritten_unless_asked_and_that_ends_with_8_before_anything_is_submitted() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(&folder, "mine.png");
    fs::write(&file, "mine").expect("written");
    let run = sandbox.run(&["submit", "--prompt", "a fox", "--out", &file]).ends_with(8).says("--force");
    assert!(!run.err.contains("submitted"), "{}", run.err);
    assert_eq!(fs::read_to_string(&file).expect("read"), "mine");
    sandbox.run(&["submit", "--prompt", "a fox", "--out", &path(&folder, "no/such/fox.png")]).ends_with(8);

    let id = sandbox.task("a fox");
    sandbox.run(&["wait", &id, "--interval", "50ms"]).ends_with(0);
    let named = folder.path().join(format!("{id}-0.png"));
    fs::write(&named, "mine").expect("written");
    sandbox.run(&["download", &id, "--out", &path(&folder, "")]).ends_with(8).says("exists").says("--force");
    assert_eq!(fs::read_to_string(&named).expect("read"), "mine");
    sandbox.run(&["download", &id, "--out", &path(&folder, ""), "--force"]).ends_with(0);
    assert_image(&named);
    // The same image again is no conflict: it is there.
    sandbox.run(&["download", &id, "--out", &path(&folder, "")]).ends_with(0);
    assert_eq!(names(folder.path()), [named.file_name().expect("a name").to_string_lossy().as_ref(), "mine.png"]);
}

#[test]
fn a_key_file_that_is_not_there_ends_with_8_and_an_empty_one_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(&folder, "key");
    let fetch = |file: &str| finish(imgtask(&["fetch", "-p", "dimilinks", "img_1", "--key-file", file]));
    fetch(&file).ends_with(8).says("cannot read");
    fs::write(&file, "  \n").expect("written");
    fetch(&file).ends_with(2).says("holds no key");
}

#[test]
fn a_submit_whose_answer_is_lost_ends_with_9_and_is_not_sent_again() {
    let sandbox = Sandbox::quick();
    // A second submit would be answered: that the code is 9 says that there was none.
    sandbox.run(&["submit", "--prompt", "[lost-reply*1] a fox"]).ends_with(9).says("before submitting again");
}

#[test]
fn of_several_tasks_the_first_that_is_not_done_gives_the_code() {
    let sandbox = Sandbox::quick();
    let (good, bad) = (sandbox.task("a fox"), sandbox.task("[fail] a hen"));
    let run = sandbox.run(&["wait", &good, &bad, "img_000000000000000000000000", "--interval", "50ms"]).ends_with(3);
    assert_eq!(run.lines().len(), 1);
}

// Ctrl-C.

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_wait_within_a_second_and_says_how_to_go_on() {
    let sandbox = Sandbox::quick();
    let id = sandbox.task("[never] a fox");
    // At the provider's own pace: the wait sleeps for seconds between looks.
    let mut command = sandbox.command(&["wait", "--provider", "dimilinks", &id]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("imgtask starts");
    // The first line about the task says that the wait is on.
    let mut first = [0; 1];
    let mut err = child.stderr.take().expect("piped");
    err.read_exact(&mut first).expect("the wait says where the task stands");
    child.stderr = Some(err);
    let begun = Instant::now();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let run = collect(child).ends_with(130);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    run.says("interrupted").says(&format!("imgtask wait --provider dimilinks {id}"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_names_every_task_of_a_wait_also_those_that_had_not_their_turn() {
    let sandbox = Sandbox::start(&[]);
    let ids = sandbox.tasks(40, "fox {n} [hold:running]");
    let mut command = sandbox.command(&["wait", "--json"]);
    let mut child = command.args(&ids).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("imgtask starts");
    let mut first = [0; 1];
    let mut err = child.stderr.take().expect("piped");
    err.read_exact(&mut first).expect("the wait says where a task stands");
    child.stderr = Some(err);
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let run = collect(child).ends_with(130);
    let told = run.objects();
    assert!(told.iter().all(|task| task["error"]["status"] == "cancelled"), "{}", run.out);
    let mut told: Vec<&str> = told.iter().filter_map(|task| task["id"].as_str()).collect();
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    told.sort_unstable();
    ids.sort_unstable();
    assert_eq!(told, ids);
    assert_eq!(run.err.matches("the task goes on: imgtask wait").count(), 40, "{}", run.err);
}

// The rest.

#[test]
fn providers_name_their_variables_and_never_a_key() {
    let mut command = imgtask(&["providers"]);
    command.env("DIMILINKS_API_KEY", CANARY);
    let run = finish(command).ends_with(0);
    for words in ["dimilinks-legacy", "for old clients", "DIMILINKS_API_KEY", "LEMONDATA_API_KEY", "not set"] {
        assert!(run.out.contains(words), "no {words:?} in\n{}", run.out);
    }
    let (documented, inferred) = run.out.split_once("never tried").expect("those that nobody promises stand apart");
    assert!(documented.contains("lemondata") && !documented.contains("replicate"), "{documented}");
    assert!(inferred.contains("replicate") && !inferred.contains("dimilinks"), "{inferred}");
    let mut command = imgtask(&["providers", "--json"]);
    command.env("DIMILINKS_API_KEY", CANARY);
    let providers = finish(command).ends_with(0).objects();
    let promised: Vec<bool> = providers.iter().map(|p| p["documented"].as_bool().expect("said")).collect();
    assert!(promised.is_sorted_by(|a, b| a >= b) && promised.iter().filter(|p| **p).count() == 3, "{promised:?}");
    let find = |name: &str| providers.iter().find(|p| p["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!((&find("dimilinks")["key_set"], &find("lemondata")["key_set"]), (&true.into(), &false.into()));
    assert!(find("dimilinks-legacy")["title"].as_str().is_some_and(|title| title.contains("for old clients")));
}

#[test]
fn help_teaches_the_exit_codes_and_a_subcommand_shows_examples() {
    let run = finish(imgtask(&["--help"])).ends_with(0);
    for words in ["Exit codes:", "9  submitted", "NO_COLOR", "Examples:", "failure"] {
        assert!(run.out.contains(words), "no {words:?}");
    }
    for command in ["demo", "submit", "fetch", "wait", "download"] {
        assert!(finish(imgtask(&[command, "--help"])).ends_with(0).out.contains("Examples:"), "{command}");
    }
}

#[test]
fn the_demo_makes_valid_images_and_a_page_that_shows_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = path(&folder, "sheet");
    let run = finish(imgtask(&["demo", "--out", &out, "--speed", "100"])).ends_with(0);
    let page = fs::read_to_string(folder.path().join("sheet/index.html")).expect("a page");
    let images: Vec<String> =
        names(&folder.path().join("sheet")).into_iter().filter(|name| name != "index.html").collect();
    assert_eq!(images.len(), 6, "{images:?}");
    for provider in ["dimilinks", "dimilinks-legacy", "lemondata"] {
        assert!(run.out.contains(provider) && images.iter().any(|name| name.starts_with(&format!("{provider}-1."))));
    }
    for image in &images {
        assert_image(folder.path().join("sheet").join(image));
        assert!(page.contains(&format!("src=\"{image}\"")), "{image} is not on the page");
        assert!(run.out.contains(image.as_str()), "{image} is not in the table");
    }
    assert!(run.out.contains("index.html") && !page.contains("sig=") && !page.contains("<script"));

    // Again: its own page is replaced, another's is not.
    finish(imgtask(&["demo", "--out", &out, "--speed", "100", "--quiet"])).ends_with(0);
    fs::write(folder.path().join("sheet/index.html"), "mine").expect("written");
    finish(imgtask(&["demo", "--out", &out])).ends_with(8).says("--out");
    assert_eq!(fs::read_to_string(folder.path().join("sheet/index.html")).expect("read"), "mine");
}

#[test]
fn a_command_runs_with_a_sandbox_around_it() {
    let exe = env!("CARGO_BIN_EXE_imgtask");
    let run = finish(imgtask(&[
        "sandbox",
        "--speed",
        "200",
        "--",
        exe,
        "submit",
        "--provider",
        "lemondata",
        "--prompt",
        "a fox",
        "--set",
        "model=m",
    ]));
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("ldtask_"), "{}", run.out);
    let run = finish(imgtask(&["sandbox", "--", exe, "fetch", "--provider", "dimilinks-legacy", "img_nobody"]));
    assert_eq!(run.code, 5, "the code is the command's own: {}", run.err);
    assert_eq!(finish(imgtask(&["sandbox", "--", "no-such-program"])).code, 2);
}

#[test]
fn cancel_asks_the_provider_and_says_what_it_answered() {
    let sandbox = Sandbox::start(&[]);
    let submit = |prompt| {
        let run = sandbox.run(&["submit", "-p", "lemondata", "--prompt", prompt, "--set", "model=seedance"]);
        run.ends_with(0).out.trim().to_string()
    };
    let (queued, running) = (submit("a fox [hold:queued]"), submit("a fox [hold:running]"));
    let run = sandbox.run(&["cancel", "-p", "lemondata", &queued]).ends_with(0);
    assert_eq!(run.out.trim(), format!("{queued}\tcancelled"));
    let run = sandbox.run(&["cancel", "-p", "lemondata", "--json", &running]).ends_with(6);
    assert_eq!(run.object()["error"]["status"], "rejected");
    sandbox.run(&["cancel", "-p", "dimilinks", "img_1"]).ends_with(2).says("no way to cancel");
}

// What a newcomer gets wrong.

/// A dialect for the sandbox's DimiLinks with one member of `read` changed.
fn own_dialect(folder: &tempfile::TempDir, change: impl FnOnce(&mut serde_json::Value)) -> String {
    let built_in = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dialect/builtin/dimilinks.json");
    let text = fs::read_to_string(built_in).expect("a dialect");
    let mut dialect: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    dialect["name"] = "mine".into();
    change(&mut dialect["read"]);
    let file = path(folder, "mine.json");
    fs::write(&file, dialect.to_string()).expect("written");
    file
}

#[test]
fn a_wrong_pointer_of_an_own_dialect_is_suspected_before_anything_is_paid_again() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let own = |file: &str, arguments: &[&str]| {
        let service = ["--dialect", file, "--base-url", &sandbox.dimilinks.0, "--interval", "50ms"];
        let mut command = sandbox.command(&[arguments, &service].concat());
        command.env("DIMILINKS_API_KEY", &sandbox.dimilinks.1);
        finish(command)
    };
    let id = sandbox.task("a fox");

    let file = own_dialect(&folder, |read| read["images"]["items"] = "/pictures".into());
    let run = own(&file, &["wait", &id]).ends_with(3).says("`read.images` of the dialect finds no image");
    let run = run.says(&format!("imgtask dialect try {} --body ANSWER", quoted(&file)));
    assert!(!run.err.contains("submit it again"), "{}", run.err);

    let file = own_dialect(&folder, |read| read["status"] = "/stand".into());
    let run = own(&file, &["wait", &id, "--timeout", "1s"]).ends_with(4);
    run.says("`read.status` of the dialect finds no status").says("--body ANSWER");

    let file = own_dialect(&folder, |read| read["words"] = serde_json::json!({ "succeeded": "unknown" }));
    let run = own(&file, &["wait", &id, "--timeout", "1s"]).ends_with(4);
    run.says("unknown (succeeded)").says("`read.words` of the dialect does not say what \"succeeded\" means");

    let file = own_dialect(&folder, |read| read["id"] = "/number".into());
    own(&file, &["submit", "--prompt", "a fox"])
        .ends_with(9)
        .says("`read.id` of the dialect finds no id")
        .says("--body ANSWER --submit");
}

#[test]
fn a_service_that_is_not_named_right_is_guessed_at() {
    let run = |arguments: &[&str]| finish(imgtask(&[&["fetch", "img_1"], arguments].concat())).ends_with(2);
    run(&["-p", "lemondta"]).says("did you mean lemondata?");
    run(&["-p", "nothing-like-it"]).says("`imgtask providers` lists them");
    run(&["-p", "my-service.json"]).says("--dialect my-service.json");
    run(&["-p", "dimilinks", "--dialect", "x.json"]).says("give one of them");
    run(&["-p", "dimilinks"]).says("no API key\n").says("set DIMILINKS_API_KEY, or give --key-file FILE");
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(&folder, "keyed.json");
    let dialect = r#"{"name":"keyed","base_url":"https://a.example","poll":{"paths":["/{id}"]}}"#;
    fs::write(&file, dialect).expect("written");
    run(&["--dialect", &file]).says("set KEYED_API_KEY, or give --key-file FILE");
}

#[test]
fn a_second_download_into_a_folder_finds_the_same_image_saved() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let pictures = path(&folder, "pics/");
    let id = sandbox.task("a fox");
    sandbox.run(&["wait", &id, "--interval", "50ms"]).ends_with(0);
    let first = sandbox.run(&["download", &id, "--out", &pictures]).ends_with(0).out;
    let second = sandbox.run(&["download", &id, "--out", &pictures]).ends_with(0).out;
    assert_eq!(first, second);
    fs::write(first.trim(), "another").expect("written");
    sandbox.run(&["download", &id, "--out", &pictures]).ends_with(8).says("--force replaces");
    assert_eq!(fs::read_to_string(first.trim()).expect("kept"), "another");
}
