//! The catalogue of faults: one line each, read by the scenarios, the control route and the help.

use serde_json::{Value, json};

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Create,
    Poll,
    Image,
    Cancel,
    Any,
}

impl Place {
    const NAMES: [(&'static str, Self); 5] = [
        ("create", Self::Create),
        ("poll", Self::Poll),
        ("image", Self::Image),
        ("cancel", Self::Cancel),
        ("any", Self::Any),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, place)| *place)
    }

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, place)| *place == self).map_or("", |(name, _)| name)
    }

    /// Whether a rule for this place holds at another.
    pub(super) fn covers(self, place: Self) -> bool {
        self == Self::Any || self == place
    }
}

/// At which step of an answer a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Changes how the body of a request is read; the prompt is not known yet, so no directive can ask for it.
    Reading,
    /// Changes the task that a create makes.
    Making,
    /// Is the answer; the work of the route is not done.
    Instead,
    /// Changes what a look at an unfinished task says.
    Pending,
    /// Changes what a look at a succeeded task says.
    Done,
    /// Changes what any look says.
    Look,
    /// Changes the picture.
    Picture,
    /// Changes how the answer travels.
    Travel,
}

macro_rules! faults {
    ($($kind:ident $name:literal $stage:ident $place:ident $value:literal $about:literal;)*) => {
        /// A way to misbehave.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind { $($kind),* }

        /// Every fault: name, stage, usual route, usual value, and what it does.
        pub(super) const CATALOGUE: &[Entry] = &[
            $(Entry { kind: Kind::$kind, name: $name, stage: Stage::$stage, place: Place::$place, value: $value, about: $about }),*
        ];
    };
}

/// A line of the catalogue.
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) stage: Stage,
    /// The usual route.
    pub(super) place: Place,
    /// The usual value.
    pub(super) value: &'static str,
    pub(super) about: &'static str,
}

faults! {
    Fail "fail" Making Create "upstream_error" "the task fails with this code";
    Cancelled "cancelled" Making Create "" "the task ends as cancelled (LemonData: failed, with the flag)";
    Never "never" Making Create "" "the task never ends";
    Hold "hold" Making Create "running" "the task stays queued, dispatched or running until the control route moves or ends it";
    Slow "slow" Making Create "10" "the task takes so many times as long";
    Fast "fast" Making Create "" "the task takes one (scaled) second";
    Duration "duration" Making Create "60" "the task takes so many (scaled) seconds; with a synchronous create so does the answer";
    Video "video" Making Create "" "a video task: DimiLinks wraps it in data, LemonData lets it be cancelled while queued";
    FirstShape "v1" Making Create "" "LemonData's first shape: img_ id, poll_url on the image path, placeholder data";

    Deaf "deaf" Reading Create "" "the body of the request is never read (--scenario and the control route only, as the next two)";
    SlowRead "slow-read" Reading Create "50" "the body of the request is read 2 KiB at a time, with so many milliseconds between";
    Early "early" Reading Create "413" "this status is answered before the body is read, and the connection closed with the rest unread";

    Http "http" Instead Any "503" "the documented error answer of this status; http-503 says the same; with 429 and LemonData a Retry-After of 1";
    RateLimited "rate-limited" Instead Any "1" "429 with a Retry-After of this value (seconds, a date, anything), at both providers";
    Html "html" Instead Any "" "200 with an HTML page";
    Empty "empty" Instead Any "" "200 with an empty body";
    NoContent "no-content" Instead Any "204" "this status with no body at all";
    Body "body" Instead Any "{}" "200 with this JSON body, byte for byte";
    Raw "raw" Instead Any "" "these bytes instead of an answer, then FIN; \\r \\n \\t \\0 \\\\ \\xHH are understood";
    RawOpen "raw-open" Instead Any "" "the same bytes, then silence";
    Missing "missing" Instead Poll "" "404 as for an unknown task (missing*1/task: only the first look)";
    Silent "silent" Instead Any "" "the request is read and never answered";
    Close "close" Instead Any "" "FIN instead of an answer";
    Reset "reset" Instead Any "" "RST instead of an answer";
    ResetReused "reset-reuse" Instead Any "" "RST instead of an answer, but only on a connection that served a request before";
    CloseReused "close-reuse" Instead Any "" "FIN instead of an answer, but only on a connection that served a request before";
    Redirect "redirect" Instead Any "302" "this status, to the same path at another port of this host";
    RedirectHost "redirect-host" Instead Any "302" "this status, to the same path at the other name of this host";
    RedirectLoop "redirect-loop" Instead Any "302" "this status, to itself";
    RedirectTo "redirect-to" Instead Any "" "302 to this Location, byte for byte";

    Word "word" Pending Poll "pondering" "an unfinished task says this status word";
    EarlyResult "early-result" Pending Poll "" "result and error are present before the end";
    DoneWord "done-word" Done Poll "perfected" "a succeeded task says this status word";
    EmptyData "empty-data" Done Poll "" "succeeded, with no image";
    EmptyUrl "empty-url" Done Poll "" "succeeded, with the image addresses \"\"";
    DataUrl "data-url" Done Poll "" "image addresses are data URLs";
    Absolute "absolute" Done Poll "" "image addresses are absolute, same origin";
    Relative "relative" Done Poll "" "image addresses are paths";
    OtherHost "other-host" Done Poll "" "image addresses name this host by its other name (127.0.0.1 or localhost)";
    OtherPort "other-port" Done Poll "" "image addresses are at another port: another origin";
    Address "address" Done Poll "http://127.0.0.1:1/x.png" "this image address";
    Expired "expired" Done Poll "" "DimiLinks' image links are minted an hour old";
    LinkLife "link-life" Done Poll "1000" "DimiLinks' image links live so many milliseconds";
    ManyImages "many-images" Done Poll "10000" "so many images in one answer";
    FailObject "fail-object" Look Poll "" "a failure is an object (LemonData says a string)";
    WrongId "wrong-id" Look Poll "img_000000000000000000000000" "the answer is about this other task";
    NoId "no-id" Look Poll "" "id and task_id are missing";
    Nulls "nulls" Look Poll "" "every member but id, task_id and status is null";
    Progress "progress" Look Poll "\"62%\"" "progress is this JSON value";
    Padding "padding" Look Poll "1000000" "an unknown member of so many bytes comes first";
    Depth "depth" Look Poll "100000" "an unknown member nested so deep comes first";

    ImageHtml "image-html" Picture Image "" "an HTML page that calls itself an image";
    ImageGarbage "image-garbage" Picture Image "" "bytes that are no image";
    ImageEmpty "image-empty" Picture Image "" "no bytes";
    ImageHalf "image-half" Picture Image "" "only the first half of the file, with a true Content-Length";
    ImageWrongType "image-wrong-type" Picture Image "" "Content-Type names another image format";
    ImageHuge "image-huge" Picture Image "" "a PNG that claims 60000 x 60000 pixels";
    RangeIgnored "range-ignored" Picture Image "" "a Range is answered with the whole file and 200";
    RangeWrong "range-wrong" Picture Image "" "a Range is answered 206 with another Content-Range than asked";

    LostReply "lost-reply" Travel Create "" "the work is done, then RST instead of the answer";
    Delay "delay" Travel Any "1000" "so many real milliseconds pass before the answer";
    Drip "drip" Travel Any "100" "the body comes one byte per so many milliseconds";
    DripHead "drip-head" Travel Any "100" "head and body come one byte per so many milliseconds";
    Cut "cut" Travel Any "10" "FIN after so many bytes of the body; Content-Length is true";
    CutReset "cut-reset" Travel Any "10" "RST after so many bytes of the body";
    CutSilent "cut-silent" Travel Any "10" "nothing more after so many bytes of the body";
    CloseIdle "close-idle" Travel Any "" "the connection is closed right after the answer, unannounced";
    LengthShort "length-short" Travel Any "" "Content-Length is half of the body";
    LengthLong "length-long" Travel Any "" "Content-Length is 10 more than the body; then FIN";
    Length "length" Travel Any "+5" "Content-Length says this, byte for byte";
    Chunked "chunked" Travel Any "7" "chunked, in pieces of so many bytes";
    ChunkedCut "chunked-cut" Travel Any "7" "chunked, without the last chunk; then FIN";
    UntilClose "until-close" Travel Any "" "no length: the body ends with the connection";
    UntilCloseReset "until-close-reset" Travel Any "" "no length, and RST after the body";
    ExtraBytes "extra-bytes" Travel Any "" "unasked bytes after the body, on a kept connection";
    HugeHeader "huge-header" Travel Any "70000" "a header of so many bytes";
    ManyHeaders "many-headers" Travel Any "150" "so many more headers";
    Header "header" Travel Any "X-Sandbox: 1" "this header more";
    ContentType "content-type" Travel Any "text/plain" "this Content-Type";
    GzipLie "gzip-lie" Travel Any "gzip" "Content-Encoding says this, the body is plain";
    Gzip "gzip" Travel Any "" "the body is really gzip, whatever was asked for";
    DateSkew "date-skew" Travel Any "86400" "Date is so many seconds off";
    EarlyHints "early-hints" Travel Any "3" "so many 103 answers come first";
    Http10 "http10" Travel Any "" "the answer says HTTP/1.0";
}

/// Every fault, for the control route.
pub(super) fn document() -> Value {
    let entries = CATALOGUE.iter().map(
        |entry| json!({ "name": entry.name, "route": entry.place.name(), "value": entry.value, "about": entry.about }),
    );
    entries.collect()
}

/// Every fault, for the help text: by route, name with its usual value, effect.
pub(super) fn text() -> String {
    const NAME_WIDTH: usize = 26;
    const ABOUT_WIDTH: usize = 50;
    let mut text = String::new();
    for (place, heading) in [
        (Place::Create, "At a create"),
        (Place::Poll, "At a look"),
        (Place::Image, "At an image"),
        (Place::Any, "Anywhere"),
    ] {
        text += &format!("{heading} (route {}):\n", place.name());
        for entry in CATALOGUE.iter().filter(|entry| entry.place == place) {
            let value = if entry.value.is_empty() { String::new() } else { format!(":{}", entry.value) };
            let mut column = format!("{}{value}", entry.name);
            if column.len() > NAME_WIDTH {
                text += &format!("  {column}\n");
                column.clear();
            }
            for line in wrapped(entry.about, ABOUT_WIDTH) {
                text += &format!("  {column:NAME_WIDTH$} {line}\n");
                column.clear();
            }
        }
    }
    text
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if lines.last().is_some_and(|line| !line.is_empty() && line.len() + 1 + word.len() > width) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
