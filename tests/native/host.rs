//! Host programs written in C that are killed: built, started, ended at a moment that can be had again.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::{lib_dir, root, run_ok, scratch};

pub(crate) const SIGKILL: i32 = 9;

/// One life of the program.
pub(crate) struct Host {
    process: Child,
    resumed: mpsc::Receiver<bool>,
}

impl Host {
    pub(crate) fn start(mut command: Command) -> Host {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program starts");
        let mut out = process.stdout.take().expect("it was asked for");
        let (tell, resumed) = mpsc::channel();
        thread::spawn(move || {
            let _ = tell.send(out.read_exact(&mut [0]).is_ok());
        });
        Host { process, resumed }
    }

    pub(crate) fn wait_until_it_has_resumed(&self) {
        // One that ended by itself is found out by whoever kills it.
        self.resumed.recv_timeout(Duration::from_secs(60)).expect("it resumes in time");
    }

    pub(crate) fn kill(mut self) -> (ExitStatus, String) {
        self.process.kill().expect("it is ours");
        self.wait()
    }

    /// Waits for its end; kills it when the time is over.
    pub(crate) fn end(mut self, limit: Duration) -> (ExitStatus, String) {
        let started = Instant::now();
        while self.process.try_wait().expect("a child can be waited for").is_none() {
            if started.elapsed() > limit {
                let (_, said) = self.kill();
                panic!("not done after {limit:?}: {said}");
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.wait()
    }

    fn wait(&mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        let mut err = self.process.stderr.take().expect("it was asked for");
        err.read_to_string(&mut said).expect("reads");
        (self.process.wait().expect("a child can be waited for"), said)
    }
}

/// Moments that can be had again: IMGTASK_TEST_SEED.
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    pub(crate) fn new() -> Chance {
        let given = std::env::var("IMGTASK_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
        let seed = given.unwrap_or(now);
        println!("IMGTASK_TEST_SEED={seed}");
        Chance { state: seed }
    }

    /// Splitmix.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A program of the folder `tests`, or a library: `crash/steps`. Each test its own, for two that write the same file would run half of
/// it.
pub(crate) fn build(name: &str, words: &[&str]) -> PathBuf {
    let by = thread::current().name().unwrap_or(name).replace("::", "-");
    let source: PathBuf = root().join("tests").join(name).with_extension("c");
    let program: &Path = &scratch().join(format!("{}-{by}", name.replace('/', "-")));
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-D_GNU_SOURCE", "-g", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]);
    command.args(words).arg("-I").arg(root().join("include")).arg(source).arg("-o").arg(program);
    command.arg("-L").arg(lib_dir()).arg("-limgtask").arg(format!("-Wl,-rpath,{}", lib_dir().display()));
    command.args(["-pthread", "-ldl"]);
    run_ok(&mut command, Duration::from_secs(120));
    program.to_path_buf()
}
