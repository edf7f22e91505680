//! Programs that embed the library, run for real against the sandbox: the SDL2 and the LÖVE example, whose screenshots are
//! compared with the images that arrived, and the Lua module.
//!
//! `cargo test --features cli --test hosts -- --ignored` runs them; `make test` does.
#![cfg(target_os = "linux")]

mod lua;
#[path = "../native/mod.rs"]
mod native;
mod screen;
mod shots;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use image::RgbImage;
use imgtask::{Client, Options};
use screen::Screen;

use native::{Ran, has, lib_dir, library, root, run, run_ok, scratch};

/// What both examples ask for, in the order of their tiles.
const PROMPTS: [&str; 6] = [
    "a lighthouse at dusk",
    "a fox in the snow",
    "a harbour in the morning",
    "a dragon asleep on its gold",
    "a night market in the rain",
    "a castle above the clouds",
];

/// No frame may take longer while images are under way; what it takes on a busy machine is far below. A game that waited for an
/// answer of the slow service would need more.
const LONGEST_FRAME_MS: u64 = 2_500;
/// What every answer of the slow service takes.
const SLOW_ANSWER_MS: u64 = 3_000;
/// Frames a second that must be reached at least.
const SLOWEST_PACE: u64 = 10;
/// Tells images from each other and from what is wrong with one; a tile is drawn smaller than its image.
const ALIKE: u32 = 20;

const SECONDS: u32 = 90;

/// How a game is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    /// SDL's driver without a screen.
    Dummy,
    /// A window on a screen of Xvfb.
    Window,
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn the_sdl2_example_shows_the_images_that_arrived() {
    if let Some(program) = sdl2() {
        shows_the_images(&Game::new("sdl2-dummy", Show::Dummy, &[path(&program)]));
    }
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn the_sdl2_example_shows_the_images_in_a_window() {
    if let Some(program) = sdl2().filter(|_| has("Xvfb")) {
        shows_the_images(&Game::new("sdl2-window", Show::Window, &[path(&program)]));
    }
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn the_love_example_shows_the_images_that_arrived() {
    if has("love") && has("Xvfb") {
        shows_the_images(&Game::new("love-window", Show::Window, &["love", "examples/love"]));
    }
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn a_service_that_is_slow_to_answer_stops_no_frame_of_sdl2() {
    if let Some(program) = sdl2() {
        keeps_moving(&Game::new("sdl2-slow", Show::Dummy, &[path(&program)]));
    }
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn a_service_that_is_slow_to_answer_stops_no_frame_of_love() {
    if has("love") && has("Xvfb") {
        keeps_moving(&Game::new("love-slow", Show::Window, &["love", "examples/love"]));
    }
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn the_sdl2_example_leaves_cleanly_while_images_are_under_way() {
    if let Some(program) = sdl2() {
        leaves_cleanly(&Game::new("sdl2-leaving", Show::Dummy, &[path(&program)]));
    }
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn the_love_example_leaves_cleanly_while_images_are_under_way() {
    if has("love") && has("Xvfb") {
        leaves_cleanly(&Game::new("love-leaving", Show::Window, &["love", "examples/love"]));
    }
}

#[test]
#[ignore = "make test runs it in a step of its own"]
fn the_sdl2_example_says_what_is_wrong_with_an_image_and_goes_on() {
    let Some(program) = sdl2() else { return };
    let game = Game::new("sdl2-broken", Show::Dummy, &[path(&program)]);
    let ran = game.play(&["--duration", "1", "--scenario", "image.image-garbage*1"]);
    game.check_end(&ran);
    let complaints: Vec<_> = ran.err.lines().filter(|line| PROMPT_NAMES.iter().any(|n| line.starts_with(n))).collect();
    assert_eq!(complaints.len(), 1, "{}", ran.err);
    assert!(complaints[0].contains("not"), "{}", ran.err);
    let (shot, originals) = (game.shot(2), originals());
    let shown = (0..6).filter(|i| shots::distance(&shots::tile(&shot, *i), &originals[*i]) <= ALIKE).count();
    assert_eq!(shown, 5);
}

const PROMPT_NAMES: [&str; 6] = ["lighthouse: ", "fox: ", "harbour: ", "dragon: ", "market: ", "castle: "];

/// A game as a test runs it, within a sandbox of its own.
struct Game {
    name: &'static str,
    command: Vec<String>,
    folder: PathBuf,
    screen: Option<Screen>,
}

impl Game {
    fn new(name: &'static str, show: Show, command: &[&str]) -> Self {
        let folder = scratch().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let screen = (show == Show::Window).then(Screen::open);
        Self { name, command: command.iter().map(|&word| word.to_owned()).collect(), folder, screen }
    }

    /// The first part of a screenshot's name.
    fn shots(&self) -> PathBuf {
        self.folder.join("shot")
    }

    fn shot(&self, number: u32) -> RgbImage {
        let kinds = ["png", "bmp"].map(|kind| self.folder.join(format!("shot-{number}.{kind}")));
        shots::read(kinds.iter().find(|file| file.exists()).unwrap_or(&kinds[0]))
    }

    /// The command with a sandbox around it, as the README writes it. `sh` runs it where a script is given.
    fn command(&self, sandbox: &[&str], script: Option<&str>) -> Command {
        // Ends the whole group, also what a killed test would leave behind.
        let mut command = Command::new("timeout");
        command.arg("--kill-after=5").arg(SECONDS.to_string()).arg(tool());
        command.args(["sandbox", "--speed", "20", "--seed", "7"]).args(sandbox).arg("--");
        if let Some(script) = script {
            command.args(["sh", "-c", script, "sh"]);
        }
        command.args(&self.command).arg(self.shots());
        command.current_dir(root()).env("IMGTASK_LIBRARY", library());
        // Settings and save folders stay in the test's own.
        command.env("HOME", &self.folder).env("XDG_DATA_HOME", &self.folder).env("SDL_AUDIODRIVER", "dummy");
        // Leaks are told by the library's own count: those of drivers are not ours.
        command.env("ASAN_OPTIONS", "detect_leaks=0");
        match &self.screen {
            Some(screen) => command.env("DISPLAY", &screen.display).env_remove("SDL_VIDEODRIVER"),
            None => command.env("SDL_VIDEODRIVER", "dummy").env_remove("DISPLAY"),
        };
        command
    }

    /// Plays until all images are there.
    fn play(&self, sandbox: &[&str]) -> Ran {
        run(&mut self.command(sandbox, None), Duration::from_secs(u64::from(SECONDS) + 10))
    }

    /// The game ended well, freed what it had, and no frame was late.
    fn check_end(&self, ran: &Ran) {
        assert!(ran.status.success(), "{}: {}\n{}\n{}", self.name, ran.status, ran.out, ran.err);
        assert!(ran.out.contains("\n0 handles left\n"), "{}: {}\n{}", self.name, ran.out, ran.err);
        let numbers: Vec<u64> = ran
            .out
            .lines()
            .find(|line| line.contains(" frames in "))
            .map(|line| line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect())
            .unwrap_or_default();
        let [frames, milliseconds, longest] = numbers[..] else { panic!("{}: {}", self.name, ran.out) };
        println!(
            "{}: {frames} frames in {milliseconds} ms, the longest {longest} ms (bound {LONGEST_FRAME_MS} ms)",
            self.name
        );
        assert!(longest <= LONGEST_FRAME_MS, "{}: a frame took {longest} ms", self.name);
        assert!(frames * 1000 >= milliseconds * SLOWEST_PACE, "{}: {frames} in {milliseconds} ms", self.name);
    }
}

fn shows_the_images(game: &Game) {
    // Long enough for a look at work that is half done.
    let ran = game.play(&["--duration", "100"]);
    game.check_end(&ran);
    let (first, last) = (game.shot(1), game.shot(2));

    let bars = shots::bars(&first);
    assert!(bars.iter().flatten().any(|percent| (1..100).contains(percent)), "{bars:?}");
    assert!(shots::bars(&last).iter().all(Option::is_none), "{:?}", shots::bars(&last));
    let (before, after) = (shots::ball(&first), shots::ball(&last));
    assert!((before - after).abs() >= 10.0, "the ball stood still: {before} and {after}");

    let originals = originals();
    for (index, prompt) in PROMPTS.iter().enumerate() {
        let tile = shots::tile(&last, index);
        let distances: Vec<u32> = originals.iter().map(|original| shots::distance(&tile, original)).collect();
        assert!(distances[index] <= ALIKE, "{}: {prompt} is not what arrived: {distances:?}", game.name);
        // The comparison could not tell otherwise.
        let others = distances.iter().enumerate().filter(|(other, _)| *other != index);
        assert!(others.map(|(_, distance)| distance).all(|distance| *distance > 2 * ALIKE), "{distances:?}");
    }
}

fn keeps_moving(game: &Game) {
    let ran = game.play(&["--duration", "1", "--scenario", &format!("any.delay:{SLOW_ANSWER_MS}")]);
    game.check_end(&ran);
}

/// Asks the game to end when the first bar has moved; the tasks would take minutes.
fn leaves_cleanly(game: &Game) {
    let script = r#""$@" & game=$!
        while ! [ -s "$SHOT.png" ] && ! [ -s "$SHOT.bmp" ]; do kill -0 $game || exit 3; sleep 0.02; done
        kill -TERM $game; wait $game"#;
    let mut command = game.command(&["--duration", "400"], Some(script));
    let ran = run(command.env("SHOT", game.folder.join("shot-1")), Duration::from_secs(u64::from(SECONDS) + 10));
    game.check_end(&ran);
    let later = ["shot-2.png", "shot-2.bmp"].map(|shot| game.folder.join(shot).exists());
    assert_eq!(later, [false, false], "the images were there already");
}

/// The SDL2 example as its readers build it, once; none where SDL2 is not installed.
fn sdl2() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build_sdl2).clone()
}

fn build_sdl2() -> Option<PathBuf> {
    if !has("cc") || !has("pkg-config") {
        return None;
    }
    let found = run(Command::new("pkg-config").args(["--cflags", "--libs", "sdl2"]), Duration::from_secs(60));
    if !found.status.success() {
        assert!(std::env::var_os("IMGTASK_ALL_TOOLS").is_none(), "sdl2 is not installed");
        eprintln!("left out: sdl2 is not installed");
        return None;
    }
    let program = scratch().join("frame_loop");
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]);
    command.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    command
        .arg("-I")
        .arg(root().join("include"))
        .arg(root().join("examples/sdl2/frame_loop.c"))
        .arg("-o")
        .arg(&program);
    command.args(found.out.split_whitespace());
    command.arg("-L").arg(lib_dir()).arg("-limgtask").arg(format!("-Wl,-rpath,{}", lib_dir().display()));
    run_ok(&mut command, Duration::from_secs(120));
    Some(program)
}

/// The images that the sandbox draws for the prompts, fetched by another client from another sandbox: the same prompt
/// gives the same picture everywhere.
fn originals() -> &'static [RgbImage] {
    static PICTURES: OnceLock<Vec<RgbImage>> = OnceLock::new();
    PICTURES.get_or_init(|| {
        let sandbox = Sandbox::start();
        let access = |member: &str| sandbox.said["providers"]["dimilinks"][member].as_str().map(str::to_owned);
        let client = Client::create(&Options {
            provider: "dimilinks".into(),
            base_url: access("base_url"),
            api_key: access("key"),
            poll_interval_ms: 20,
            ..Options::default()
        })
        .expect("a client");
        let fetch = |prompt: &&str| {
            let task = client.submit(&serde_json::json!({ "prompt": prompt }).to_string()).expect("accepted");
            let task = client.wait(&task.id, Some(Duration::from_secs(30))).expect("finished");
            shots::decode(&client.download(&task, 0).expect("an image").data)
        };
        PROMPTS.iter().map(fetch).collect()
    })
}

/// A sandbox that is quick; it ends with this value.
struct Sandbox {
    process: Child,
    said: serde_json::Value,
}

impl Sandbox {
    fn start() -> Self {
        let mut process = Command::new(tool())
            .args(["sandbox", "--speed", "1000", "--duration", "1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox starts");
        let mut line = String::new();
        let out = process.stdout.take().expect("it was asked for");
        BufReader::new(out).read_line(&mut line).expect("the sandbox says where it is");
        Self { process, said: serde_json::from_str(&line).expect("the sandbox says it in JSON") }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The command line under test.
fn tool() -> PathBuf {
    std::env::var_os("IMGTASK_COMMAND")
        .map_or_else(|| env!("CARGO_BIN_EXE_imgtask").into(), |command| root().join(command))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
