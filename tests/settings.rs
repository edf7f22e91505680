//! Settings: arguments, environment, file, and what `imgtask config` and `imgtask doctor` say of them.

mod command;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use command::*;
use serde_json::Value;

/// A folder with a file of settings.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = path(&folder, "config.toml");
    fs::write(&file, text).expect("written");
    (folder, file)
}

/// The value of a setting and who said it, as `imgtask config` has it.
#[track_caller]
fn effective(arguments: &[&str], variables: &[(&str, &str)], name: &str) -> (Value, String) {
    let mut command = imgtask(&[&["config", "--json"], arguments].concat());
    command.envs(variables.iter().copied());
    let told = finish(command).ends_with(0).object();
    let setting = &told["settings"][name];
    (setting["value"].clone(), setting["from"].as_str().unwrap_or_default().to_string())
}

#[test]
fn an_argument_goes_before_the_environment_that_before_the_file_and_there_the_provider_before_all() {
    let (_folder, file) = file("timeout = '1m'\ninterval = '2s'\n[providers.lemondata]\ntimeout = '2m'\n");
    let base = ["--config", file.as_str(), "-p"];
    let timeout = |provider: &str, variables: &[(&str, &str)]| {
        effective(&[&base[..], &[provider]].concat(), variables, "timeout")
    };
    assert_eq!(timeout("dimilinks", &[]), ("60s".into(), format!("{file}:1")));
    assert_eq!(timeout("lemondata", &[]), ("120s".into(), format!("{file}:4")));
    assert_eq!(timeout("lemondata", &[("IMGTASK_TIMEOUT", "3m")]), ("180s".into(), "IMGTASK_TIMEOUT".into()));
    let interval = [&base[..], &["lemondata", "--interval", "9s"]].concat();
    let variables = [("IMGTASK_INTERVAL", "3s")];
    assert_eq!(effective(&interval, &variables, "interval"), ("9s".into(), "--interval".into()));
    let address = |arguments: &[&str], variables: &[(&str, &str)]| {
        effective(&[&["-p", "dimilinks"], arguments].concat(), variables, "base_url")
    };
    assert_eq!(address(&[], &[]).1, "default");
    let variables = [("DIMILINKS_BASE_URL", "https://a.example")];
    assert_eq!(address(&[], &variables), ("https://a.example".into(), "DIMILINKS_BASE_URL".into()));
    assert_eq!(address(&["--base-url", "https://b.example"], &variables).1, "--base-url");
}

#[test]
fn the_file_is_that_of_the_argument_of_the_variable_or_of_the_folder_for_settings() {
    let (folder, file) = file("color = 'never'\n");
    let place = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = imgtask(&[&["config", "--json"], arguments].concat());
        command.envs(variables.iter().copied());
        let told = finish(command).ends_with(0).object();
        (told["file"]["path"].as_str().unwrap_or_default().to_string(), told["file"]["exists"].clone())
    };
    let home = path(&folder, "home");
    fs::create_dir_all(Path::new(&home).join("imgtask")).expect("a folder");
    let own = path(&folder, "home/imgtask/config.toml");
    assert_eq!(place(&[], &[("XDG_CONFIG_HOME", &home)]), (own.clone(), false.into()));
    fs::write(&own, "json = false\n").expect("written");
    assert_eq!(place(&[], &[("XDG_CONFIG_HOME", &home)]), (own, true.into()));
    assert_eq!(place(&[], &[("XDG_CONFIG_HOME", &home), ("IMGTASK_CONFIG", &file)]), (file.clone(), true.into()));
    let elsewhere = place(&["--config", &file], &[("IMGTASK_CONFIG", "/nonexistent/a.toml")]);
    assert_eq!(elsewhere, (file, true.into()));
    // One that was asked for must be there; one that is merely usual need not.
    finish(imgtask(&["config", "--config", "/nonexistent/a.toml"]))
        .ends_with(8)
        .says("cannot read /nonexistent/a.toml");
    assert_eq!(
        place(&[], &[("XDG_CONFIG_HOME", ""), ("HOME", &home)]).0,
        path(&folder, "home/.config/imgtask/config.toml")
    );
}

#[test]
fn what_a_file_says_is_done() {
    let sandbox = Sandbox::quick();
    let text = format!(
        "provider = 'mine'\njson = true\nout = 'pictures/'\nname_pattern = 'fox.{{ext}}'\ninterval = '50ms'\n\
         [providers.mine]\ndialect = 'mine.json'\nkey_file = 'mine.key'\nbase_url = '{}'\n",
        sandbox.dimilinks.0
    );
    let (folder, file) = file(&text);
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/src/dialect/builtin/dimilinks.json"),
        folder.path().join("mine.json"),
    )
    .expect("copied");
    fs::write(folder.path().join("mine.key"), &sandbox.dimilinks.1).expect("written");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str], code: i32| {
        let mut command = imgtask(&[arguments, &["--config", &file]].concat());
        command.current_dir(&elsewhere);
        finish(command).ends_with(code)
    };
    let id = run(&["submit", "--prompt", "a fox"], 0).object()["id"].as_str().expect("an id").to_string();
    assert_eq!(run(&["wait", &id], 0).object()["state"], "succeeded");
    let saved = run(&["download", &id], 0).object();
    assert_eq!((&saved["provider"], &saved["images"][0]["file"]["path"]), (&"mine".into(), &"pictures/fox.png".into()));
    assert_image(elsewhere.path().join("pictures/fox.png"));
    // What is said again in a hint names the file.
    let never = run(&["submit", "--prompt", "[never] a fox"], 0).object()["id"].as_str().expect("an id").to_string();
    run(&["wait", &never, "-t", "200ms"], 4)
        .says(&format!("imgtask wait --provider mine --config {} {never}", quoted(&file)));
    let mut variable = imgtask(&["fetch", &id, "--config", &file]);
    variable.env("IMGTASK_JSON", "0");
    assert!(finish(variable).ends_with(0).out.starts_with("task "));
}

#[test]
fn a_file_that_is_wrong_is_told_with_its_lines_and_a_key_in_it_never() {
    let (_folder, file) = file("tiemout = '1m'\n[providers.dimilinks]\napi_key = 'sk-canary-1'\njson = 1\n");
    let run = finish(imgtask(&["fetch", "-p", "dimilinks", "img_1", "--config", &file])).ends_with(2);
    let run = run.says(&format!("{file}:1: there is no setting of that name; did you mean timeout?"));
    let run = run.says(&format!("{file}:3: a key does not belong into this file")).says("key_file");
    run.says(&format!("{file}:4: json is for all providers"));
    // These still work, and the doctor tells it, too.
    finish(imgtask(&["completions", "bash", "--config", &file])).ends_with(0);
    finish(imgtask(&["config", "--new", "--config", &file])).ends_with(0);
    let told = finish(imgtask(&["doctor", "--json", "--config", &file])).ends_with(2).object();
    assert_eq!(fact(&told, "file")["verdict"], "wrong");
    let (_folder, file) = self::file("[provider.lemondata]\ntimeout = 3\n");
    finish(imgtask(&["config", "--config", &file]))
        .ends_with(2)
        .says(":1: what is for one provider stands in [providers.");
    let mut command = imgtask(&["fetch", "-p", "dimilinks", "img_1"]);
    command.env("IMGTASK_TIMEOUT", "soon");
    finish(command).ends_with(2).says("IMGTASK_TIMEOUT: write it as 90");
    let (_folder, file) = self::file("proxy = 'http://user:canary@127.0.0.1:1'\n");
    let run = finish(imgtask(&["fetch", "-p", "dimilinks", "img_1", "--config", &file])).ends_with(2);
    assert!(run.err.contains("password") && !run.err.contains("canary"), "{}", run.err);
}

#[test]
fn settings_for_every_provider_are_shown_and_judged_where_none_is_set() {
    let set = [("IMGTASK_TIMEOUT", "90"), ("IMGTASK_PROXY", "env")];
    assert_eq!(effective(&[], &set, "timeout"), ("90s".into(), "IMGTASK_TIMEOUT".into()));
    assert_eq!(effective(&[], &set, "proxy"), ("env".into(), "IMGTASK_PROXY".into()));
    let mut command = imgtask(&["config"]);
    command.env("IMGTASK_TIMEOUT", "abc");
    finish(command).ends_with(2).says("IMGTASK_TIMEOUT: ");
}

#[test]
fn json_that_a_setting_wants_is_told_by_its_name_and_can_be_taken_back() {
    let submit = |arguments: &[&str], json: Option<&str>| {
        let mut command =
            imgtask(&[&["submit", "-p", "dimilinks", "--prompt", "a fox", "--out", "-"], arguments].concat());
        command.envs(json.map(|json| ("IMGTASK_JSON", json)));
        finish(command).ends_with(2)
    };
    submit(&["--json"], None).says("--json and --out - both");
    submit(&[], Some("1")).says("IMGTASK_JSON and --out - both").says("IMGTASK_JSON=0");
    let (_folder, file) = file("json = true\n");
    submit(&["--config", &file], None).says(&format!("{file}:1 and --out - both"));
    submit(&["--config", &file], Some("0")).says("no API key");
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_no_success() {
    for arguments in [&["--help"][..], &["wait", "-h"], &["--version"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
        let mut command = imgtask(arguments);
        let out = command.stdout(full).stderr(std::process::Stdio::piped()).output().expect("imgtask starts");
        assert_eq!(out.status.code(), Some(8), "{arguments:?}");
        assert!(String::from_utf8_lossy(&out.stderr).contains("cannot write the help"));
    }
}

#[test]
fn the_file_to_start_from_is_taken_as_it_is() {
    let (_folder, file) = file(&finish(imgtask(&["config", "--new"])).ends_with(0).out);
    let run = finish(imgtask(&["config", "--config", &file])).ends_with(0);
    assert!(run.out.contains("provider") && run.out.contains(&file), "{}", run.out);
}

// The doctor.

#[track_caller]
fn fact<'a>(told: &'a Value, name: &str) -> &'a Value {
    let facts = told["facts"].as_array().expect("facts");
    facts.iter().find(|fact| fact["name"] == name).unwrap_or_else(|| panic!("no {name} in {told:#}"))
}

#[test]
fn the_doctor_says_what_would_be_done_and_asks_nobody() {
    let sandbox = Sandbox::quick();
    let told = sandbox.run(&["doctor", "--json"]).ends_with(0).object();
    assert_eq!(told["ok"], true);
    for (name, value, from) in [
        ("provider", "dimilinks, DimiLinks", "IMGTASK_PROVIDER"),
        ("address", sandbox.dimilinks.0.as_str(), "DIMILINKS_BASE_URL"),
    ] {
        assert_eq!((&fact(&told, name)["value"], &fact(&told, name)["from"]), (&value.into(), &from.into()));
    }
    assert_eq!(fact(&told, "key")["value"], "DIMILINKS_API_KEY is set");
    assert_eq!(fact(&told, "command")["value"], env!("CARGO_PKG_VERSION"));
    assert_eq!(sandbox.control("GET", "/stats", "")["requests"], 0);
    let lines = sandbox.run(&["doctor"]).ends_with(0).says("Nothing is wrong").out;
    assert!(lines.contains("  ✓ key ") && !lines.contains("cure:"), "{lines}");
    sandbox.run(&["doctor", "--quiet"]).ends_with(0);
}

#[test]
fn the_doctor_asks_one_harmless_question_when_told_to() {
    let sandbox = Sandbox::quick();
    for provider in ["dimilinks", "dimilinks-legacy", "lemondata"] {
        let told = sandbox.run(&["doctor", "-p", provider, "--connect", "--json"]).ends_with(0).object();
        let key = told["facts"].as_array().expect("facts").iter().rfind(|fact| fact["name"] == "key").expect("a key");
        assert!(key["value"].as_str().is_some_and(|value| value.starts_with("accepted")), "{told:#}");
        let clocks: Vec<&Value> = told["facts"].as_array().unwrap().iter().filter(|f| f["name"] == "clock").collect();
        assert_eq!(clocks.last().expect("compared")["value"], "as the service's");
    }
    let stats = sandbox.control("GET", "/stats", "");
    assert_eq!(stats["submits"], 0, "{stats}");
    let folder = tempfile::tempdir().expect("a folder");
    let key = path(&folder, "key");
    fs::write(&key, CANARY).expect("written");
    let run = sandbox.run(&["doctor", "--connect", "--key-file", &key]).ends_with(6);
    assert!(run.out.contains("✗ key") && run.out.contains("refused") && run.out.contains("cure: "), "{}", run.out);
    let run = sandbox.run(&["doctor", "--connect", "--base-url", "http://127.0.0.1:1"]).ends_with(7);
    assert!(run.out.contains("does the service listen at this address?"), "{}", run.out);
}

#[test]
fn the_doctor_takes_no_other_server_for_the_service() {
    for (head, body, code, value) in [
        ("404 Not Found", "<!DOCTYPE HTML><p>Error code: 404", 7, "not known"),
        ("404 Not Found", "", 7, "not known"),
        ("404 Not Found", r#"{"error": {"message": "no such task"}}"#, 0, "accepted"),
        ("404 Not Found", r#"{"error": {"code": "not_found"}}"#, 0, "accepted"),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("asked");
            stream.set_read_timeout(Some(LIMIT)).expect("a time");
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a request");
                asked.extend(byte);
            }
            let length = body.len();
            write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
                .expect("told");
        });
        let mut command = imgtask(&["doctor", "-p", "dimilinks", "--connect", "--json", "--base-url", &address]);
        command.env("DIMILINKS_API_KEY", CANARY);
        let told = finish(command).ends_with(code).object();
        server.join().expect("served");
        let key = told["facts"].as_array().expect("facts").iter().rfind(|fact| fact["name"] == "key").expect("a key");
        assert!(key["value"].as_str().is_some_and(|told| told.starts_with(value)), "{body}: {told:#}");
        assert_eq!(told["ok"], code == 0);
    }
}

#[test]
fn what_may_be_a_password_or_a_key_is_nowhere_shown() {
    for password in ["canary#2", "canary?2", "canary/2", "canary@2", "c@nary#canary"] {
        let proxy = format!("http://canary:{password}@proxy.example:8080");
        for arguments in [&["doctor"][..], &["config"], &["-v", "fetch", "img_1"]] {
            let mut command = imgtask(&[arguments, &["-p", "dimilinks", "--proxy"], &["env"]].concat());
            command.env("DIMILINKS_API_KEY", CANARY).env("HTTPS_PROXY", &proxy);
            let mut named = imgtask(&[arguments, &["-p", "dimilinks"]].concat());
            named.env("DIMILINKS_API_KEY", CANARY).env("IMGTASK_PROXY", &proxy);
            for run in [finish(command), finish(named)] {
                let said = run.out + &run.err;
                assert!(!said.contains("nary"), "{arguments:?}: {said}");
            }
        }
    }
    let (_folder, file) = file(&format!("[providers.dimilinks]\nkey_file = '{CANARY}'\n"));
    for arguments in [["--key-file", CANARY], ["--config", &file]] {
        for (command, code) in [(&["doctor"][..], 8), (&["config"], 0), (&["-v", "fetch", "img_1"], 8)] {
            // That no key is shown is looked for in every run.
            finish(imgtask(&[command, &["-p", "dimilinks"], &arguments].concat())).ends_with(code);
        }
    }
}

#[test]
fn the_doctor_names_what_is_wrong_and_its_cure() {
    let doctor = |arguments: &[&str], variables: &[(&str, &str)], code: i32| {
        let mut command = imgtask(&[&["doctor", "--json"], arguments].concat());
        command.envs(variables.iter().copied());
        finish(command).ends_with(code).object()
    };
    let told = doctor(&[], &[], 0);
    assert_eq!(
        (&fact(&told, "provider")["verdict"], &fact(&told, "keys")["verdict"]),
        (&"note".into(), &"note".into())
    );
    let told = doctor(&[], &[("IMGTASK_TIMEOUT", "abc"), ("IMGTASK_VERBOSE", "9"), ("IMGTASK_INTERVAL", "2s")], 2);
    assert!(["timeout", "verbose"].iter().all(|name| fact(&told, name)["verdict"] == "wrong"), "{told:#}");
    assert_eq!(told["facts"].as_array().expect("facts").iter().filter(|fact| fact["verdict"] == "wrong").count(), 2);
    let told = doctor(&[], &[("IMGTASK_JSON", "maybe")], 2);
    assert_eq!(fact(&told, "json")["verdict"], "wrong", "{told:#}");
    let mut lines = imgtask(&["doctor"]);
    lines.env("IMGTASK_JSON", "maybe");
    assert!(finish(lines).ends_with(2).says("One thing is wrong").out.contains("IMGTASK_JSON"));
    let told = doctor(&["-p", "dimilinks"], &[("IMGTASK_TIMEOUT", "abc")], 2);
    assert_eq!(told["facts"].as_array().expect("facts").iter().filter(|fact| fact["verdict"] == "wrong").count(), 1);
    let told = doctor(&[], &[("IMGTASK_BASE_URL", "a"), ("IMGTASK_INTERVAL", "2s")], 0);
    assert_eq!(fact(&told, "variable")["value"], "IMGTASK_BASE_URL is read by nobody");
    assert_eq!(fact(&told, "interval")["from"], "IMGTASK_INTERVAL");
    let told = doctor(&["-p", "lemondta"], &[], 2);
    assert!(
        fact(&told, "client")["cure"].as_str().is_some_and(|cure| cure.contains("did you mean lemondata?")),
        "{told}"
    );
    let told = doctor(&["-p", "lemondata"], &[], 2);
    let key = fact(&told, "key");
    assert_eq!((&key["verdict"], &key["value"]), (&"wrong".into(), &"LEMONDATA_API_KEY is not set".into()));
    doctor(&["--connect"], &[], 2);
    let variables = [("HTTPS_PROXY", "http://user:canary@proxy.example:1"), ("IMGTASK_TIMOUT", "1")];
    let keyed = [&variables[..], &[("LEMONDATA_API_KEY", CANARY)]].concat();
    let told = doctor(&["-p", "lemondata"], &keyed, 0);
    assert_eq!(fact(&told, "HTTPS_PROXY")["value"], "http://proxy.example:1, not used");
    assert_eq!(fact(&told, "variable")["cure"], "did you mean IMGTASK_TIMEOUT?");
    let told = doctor(&["-p", "lemondata", "--proxy", "env"], &keyed, 0);
    assert_eq!(fact(&told, "HTTPS_PROXY")["value"], "http://proxy.example:1, used");
    assert!(!told.to_string().contains("canary"), "{told:#}");
    let excepted = |name, host, words: &str| {
        let variables = [&keyed[..], &[(name, host)]].concat();
        let told = doctor(&["-p", "lemondata", "--base-url", "https://api.b.example", "--proxy", "env"], &variables, 0);
        assert_eq!(fact(&told, "HTTPS_PROXY")["value"], format!("http://proxy.example:1, {words}"));
    };
    excepted("NO_PROXY", "a.example, b.example", "not used: NO_PROXY");
    excepted("no_proxy", "*.b.example", "not used: no_proxy");
    excepted("NO_PROXY", "a.example", "used");
    let (_folder, file) = file("[providers.lemondta]\ntimeout = 3\n");
    let told = doctor(&["-p", "lemondata", "--config", &file], &keyed, 0);
    let facts = told["facts"].as_array().expect("facts");
    let near = facts.iter().find(|fact| fact["cure"] == "did you mean [providers.lemondata]?").expect("told");
    assert_eq!(near["from"], format!("{file}:1"));
    finish(imgtask(&["config", "--config", &file]))
        .ends_with(0)
        .says(&format!("{file}:1: [providers.lemondta] is of no"));
}

#[test]
fn the_doctor_finds_roots_that_no_command_could_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let (missing, empty, bad) = (path(&folder, "missing.pem"), path(&folder, "empty.pem"), path(&folder, "bad.pem"));
    fs::write(&empty, b"no certificate \xff\n").expect("written");
    fs::write(&bad, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").expect("written");
    for (file, service, value) in [
        (&missing, true, format!("cannot read {missing}: ")),
        (&missing, false, format!("cannot read {missing}: ")),
        (&empty, true, format!("no certificate in {empty}")),
        (&empty, false, format!("no certificate in {empty}")),
        (&bad, true, format!("1 in {bad}: ca_file holds no certificate that can be used as a root")),
    ] {
        let mut command = imgtask(&["doctor", "--json", "--ca-file", file]);
        command.env("DIMILINKS_API_KEY", CANARY);
        if service {
            command.args(["-p", "dimilinks"]);
        }
        let told = finish(command).ends_with(2).object();
        let roots = fact(&told, "roots");
        assert!(roots["value"].as_str().is_some_and(|told| told.starts_with(&value)), "{roots}");
        assert_eq!((&roots["verdict"], &roots["from"]), (&"wrong".into(), &"--ca-file".into()));
        let wrong = told["facts"].as_array().expect("facts").iter().filter(|fact| fact["verdict"] == "wrong").count();
        assert_eq!(wrong, 1, "{told:#}");
    }
}

#[cfg(unix)]
#[test]
fn the_doctor_tells_of_a_key_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let key = path(&folder, "key");
    fs::write(&key, CANARY).expect("written");
    let verdict = |mode| {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("set");
        let told = finish(imgtask(&["doctor", "--json", "-p", "dimilinks", "--key-file", &key])).ends_with(0).object();
        told["facts"]
            .as_array()
            .expect("facts")
            .iter()
            .any(|fact| fact["name"] == "key file" && fact["verdict"] == "note")
    };
    assert!(verdict(0o644) && verdict(0o640) && !verdict(0o600));
}

#[test]
fn the_doctor_looks_into_a_journal_and_leaves_it_as_it_is() {
    let sandbox = Sandbox::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let journal = path(&folder, "open.journal");
    let doctor = |code: i32| {
        let told = sandbox.run(&["doctor", "--json", "--journal", &journal]).ends_with(code).object();
        fact(&told, "journal").clone()
    };
    assert!(doctor(0)["value"].as_str().is_some_and(|value| value.contains("not there")));
    // A watch that is interrupted leaves what it watches in its journal.
    let held = sandbox.tasks(2, "fox {n} [hold:running]");
    let mut command = sandbox.command(&["watch", &held[0], &held[1], "--journal", &journal, "--interval", "20ms"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("imgtask starts");
    let looked = || sandbox.control("GET", "/stats", "")["polls"].as_u64().is_some_and(|polls| polls > 3);
    let end = std::time::Instant::now() + LIMIT;
    while !looked() {
        assert!(std::time::Instant::now() < end, "nobody looks");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(doctor(0)["value"].as_str().is_some_and(|value| value.contains("in use by another program")));
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().expect("kill runs").success());
    collect(child).ends_with(130);
    let before = fs::read(&journal).expect("a journal");
    let told = doctor(0);
    assert!(told["value"].as_str().is_some_and(|value| value.contains("2 tasks are open")), "{told}");
    assert!(before == fs::read(&journal).expect("a journal"), "it was changed");
    let mut torn = before.clone();
    let middle = torn.len() / 2;
    torn[64..middle].fill(0xaa);
    fs::write(&journal, &torn).expect("written");
    assert_eq!(doctor(8)["verdict"], "wrong");
    assert_eq!(names(folder.path()), ["open.journal"], "nothing is set aside");
    assert!(torn == fs::read(&journal).expect("a journal"));
}

// How much is told.

#[test]
fn verbose_tells_who_is_asked_what_with_times_and_no_secret() {
    let sandbox = Sandbox::quick();
    let folder = tempfile::tempdir().expect("a folder");
    let submit = ["submit", "--prompt", "a fox", "--interval", "50ms", "--out"];
    let quiet = sandbox.run(&[&submit[..], &[&path(&folder, "a.png"), "--quiet"]].concat()).ends_with(0);
    assert_eq!(quiet.err, "");
    // Every run is searched for keys and signatures.
    let one = sandbox.run(&[&submit[..], &[&path(&folder, "b.png"), "-v"]].concat()).ends_with(0);
    let one = one.says("info  provider dimilinks (IMGTASK_PROVIDER)").says("info  key from DIMILINKS_API_KEY");
    let line = one.says("submit: task img_").err.lines().next().expect("a line").to_string();
    let (time, _) = line.split_once(' ').expect("a time");
    assert!(time.len() == 24 && time.ends_with('Z') && time.starts_with("20"), "{line}");
    let two = sandbox.run(&["-vv", "submit", "--prompt", "a fox", "--interval", "50ms", "--wait"]).ends_with(0);
    let two = two.says("debug look: task img_").says("HTTP 200 from http://127.0.0.1:");
    assert!(two.err.lines().count() > 5, "{}", two.err);
    sandbox.run(&["fetch", "img_1", "-v", "-q"]).ends_with(2).says("cannot be used with");
    let mut command = sandbox.command(&["fetch", "img_1", "-vv"]);
    command.env("IMGTASK_PROXY", "http://user:canary-1@127.0.0.1:1");
    let run = finish(command).ends_with(7).says("proxy http://127.0.0.1:1 (IMGTASK_PROXY)");
    assert!(!run.err.contains("canary") && !run.err.contains("user"), "{}", run.err);
    let mut command = sandbox.command(&["fetch", "img_1"]);
    command.env("IMGTASK_VERBOSE", "2");
    finish(command).ends_with(5).says("debug ");
}

#[test]
fn colours_are_forced_and_forbidden_by_argument_environment_and_file_in_that_order() {
    let (_folder, always) = file("color = 'always'\n");
    let coloured = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = imgtask(&[&["providers"], arguments].concat());
        command.envs(variables.iter().copied()).stdout(std::process::Stdio::piped());
        let out = command.output().expect("imgtask runs");
        assert!(out.status.success());
        String::from_utf8_lossy(&out.stdout).contains('\x1b')
    };
    assert!(!coloured(&[], &[]), "a pipe");
    assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]) && !coloured(&[], &[("CLICOLOR_FORCE", "0")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(coloured(&[], &[("IMGTASK_COLOR", "always"), ("NO_COLOR", "1")]));
    assert!(coloured(&["--config", &always], &[]) && !coloured(&["--config", &always], &[("NO_COLOR", "1")]));
    assert!(!coloured(&["--config", &always, "--color", "never"], &[("IMGTASK_COLOR", "always")]));
    // Help and usage mistakes, too.
    let mut command = imgtask(&["wait", "--color=always", "--nothing"]);
    let out = command.output().expect("imgtask runs");
    assert!(String::from_utf8_lossy(&out.stderr).contains('\x1b'));
}
