//! The contact sheet: one HTML page that needs nothing but the images beside it.

use std::fmt::Write;
use std::time::Duration;

use imgtask::State;

use super::Frame;
use crate::save;

/// Marks a page of ours: only such a page is replaced.
pub(super) const MARK: &str = "<meta name=\"generator\" content=\"imgtask demo\">";

const STYLE: &str = include_str!("page.css");

/// The whole page. `took` is the time from the first submit to the last file.
pub(super) fn write(frames: &[Frame], took: Duration) -> String {
    let mut page = String::with_capacity(32 * 1024);
    let providers = providers(frames);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{MARK}\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>imgtask: contact sheet</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<p class=\"mark\">imgtask</p>\n<h1>{} images from {} providers,<br>side by side in {}</h1>\n\
         <p class=\"lead\">Each was submitted as a task, looked at until it was done, downloaded, and checked before it \
         got its name.</p>\n</header>\n<main>\n",
        frames.len(),
        providers.len(),
        escape(&crate::duration::words(took)),
    );
    page.push_str("<section class=\"sheet\" aria-label=\"Images\">\n");
    for (column, provider) in providers.iter().enumerate() {
        let own: Vec<&Frame> = frames.iter().filter(|frame| frame.provider.name == *provider).collect();
        provider_column(&mut page, column, &own);
    }
    page.push_str("</section>\n");
    timeline(&mut page, frames, &providers, took);
    page.push_str(NEXT);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

const NEXT: &str = "\
<section class=\"next\">
<h2>Your own images</h2>
<p>These pictures were drawn by <code>imgtask sandbox</code>, a gateway on your machine that speaks the providers' \
documented contracts. No service was contacted. With a key of your own:</p>
<pre><code>export DIMILINKS_API_KEY=…
imgtask submit -p dimilinks --prompt 'a lighthouse in fog' --out lighthouse.png</code></pre>
</section>
";

/// The providers in the order of their first frame.
fn providers(frames: &[Frame]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for frame in frames {
        if !names.contains(&frame.provider.name) {
            names.push(frame.provider.name);
        }
    }
    names
}

fn provider_column(page: &mut String, column: usize, frames: &[&Frame]) {
    let Some(first) = frames.first() else { return };
    let _ = write!(
        page,
        "<div class=\"column c{column}\">\n<h2><span class=\"dot\"></span>{}</h2>\n<p class=\"route\">{}</p>\n",
        escape(first.provider.title),
        escape(first.route),
    );
    for frame in frames {
        card(page, frame);
    }
    page.push_str("</div>\n");
}

fn card(page: &mut String, frame: &Frame) {
    let info = &frame.saved.info;
    let file = frame.file_name();
    let link = escape(&percent_encode(&file));
    let sha256 = info.sha256.get(..12).unwrap_or(&info.sha256);
    let _ = write!(
        page,
        "<figure>\n<a href=\"{link}\"><img src=\"{link}\" width=\"{}\" height=\"{}\" alt=\"{}\" loading=\"lazy\"></a>\n\
         <figcaption>\n<p class=\"prompt\">{}</p>\n<dl>\n\
         <div><dt>Size</dt><dd>{} × {}</dd></div>\n<div><dt>Type</dt><dd>{}, {}</dd></div>\n\
         <div><dt>Time</dt><dd>{}, {} looks</dd></div>\n<div><dt>File</dt><dd>{}</dd></div>\n\
         <div><dt>SHA-256</dt><dd><code title=\"{}\">{}…</code></dd></div>\n\
         <div><dt>Task</dt><dd><code>{}</code></dd></div>\n</dl>\n</figcaption>\n</figure>\n",
        info.width,
        info.height,
        escape(&frame.prompt),
        escape(&frame.prompt),
        info.width,
        info.height,
        escape(&save::kind(info)),
        escape(&save::bytes(info.len)),
        escape(&crate::duration::words(frame.took())),
        frame.looks.len(),
        escape(&file),
        escape(&info.sha256),
        escape(sha256),
        escape(&frame.task.id),
    );
}

/// A bar an image: queued, running, downloading; a tick for every look.
fn timeline(page: &mut String, frames: &[Frame], providers: &[&str], took: Duration) {
    let whole = took.as_secs_f64().max(0.001);
    let at = |time: Duration| (time.as_secs_f64() / whole * 100.0).clamp(0.0, 100.0);
    page.push_str("<section class=\"timeline\" aria-label=\"Timeline\">\n<h2>How it went</h2>\n<div class=\"rows\">\n");
    for frame in frames {
        let column = providers.iter().position(|name| *name == frame.provider.name).unwrap_or(0);
        let _ = write!(page, "<p class=\"name\">{}</p><div class=\"bar c{column}\">", escape(&frame.file_name()));
        for (kind, from, to) in spans(frame) {
            let (left, width) = (at(from), at(to) - at(from));
            let _ = write!(
                page,
                "<i class=\"{kind}\" style=\"left:{left:.2}%;width:{width:.2}%\" title=\"{kind} {}\"></i>",
                escape(&crate::duration::words(to.saturating_sub(from))),
            );
        }
        for (time, _) in &frame.looks {
            let _ = write!(page, "<b style=\"left:{:.2}%\"></b>", at(*time));
        }
        page.push_str("</div>\n");
    }
    page.push_str("<p class=\"name\"></p><div class=\"axis\">");
    let seconds = took.as_secs();
    let step = (seconds / 8).max(1);
    for second in (0..=seconds).step_by(usize::try_from(step).unwrap_or(1)) {
        let _ = write!(page, "<span style=\"left:{:.2}%\">{second} s</span>", at(Duration::from_secs(second)));
    }
    page.push_str(
        "</div>\n</div>\n<p class=\"legend\"><i class=\"queued\"></i> queued <i class=\"running\"></i> running \
         <i class=\"saving\"></i> downloading and checking <b></b> a look</p>\n</section>\n",
    );
}

/// What a task was doing when, as far as the looks saw it.
fn spans(frame: &Frame) -> Vec<(&'static str, Duration, Duration)> {
    let mut spans: Vec<(&'static str, Duration, Duration)> = vec![("queued", frame.submitted, frame.submitted)];
    for (time, state) in &frame.looks {
        if let Some(last) = spans.last_mut() {
            last.2 = *time;
        }
        let kind = match state {
            State::Running => "running",
            State::Succeeded => "saving",
            _ => "queued",
        };
        if spans.last().is_none_or(|last| last.0 != kind) {
            spans.push((kind, *time, *time));
        }
    }
    if let Some(last) = spans.last_mut() {
        last.2 = frame.finished;
    }
    spans
}

/// Text as HTML, in an element or in a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A file name as a relative link.
fn percent_encode(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2E", ".")
        .replace("%2D", "-")
        .replace("%5F", "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::tests::frame;

    #[test]
    fn a_prompt_cannot_write_html() {
        let page = write(&[frame("<script>alert('x')</script>\" onload=\"y")], Duration::from_secs(4));
        assert!(!page.contains("<script"));
        assert!(!page.contains("\" onload"));
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; onload=&quot;y"));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = write(&[frame("a fox")], Duration::from_secs(4));
        for word in ["http://", "https://", "url(", "@import", "<script", "<link"] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("src=\"dimilinks-1.png\""));
    }

    #[test]
    fn a_bar_is_whole_from_submit_to_file() {
        let frame = frame("a fox");
        let spans = spans(&frame);
        assert_eq!(spans.iter().map(|span| span.0).collect::<Vec<_>>(), ["queued", "running", "saving"]);
        assert_eq!(spans.first().map(|span| span.1), Some(frame.submitted));
        assert_eq!(spans.last().map(|span| span.2), Some(frame.finished));
        assert!(spans.windows(2).all(|pair| pair[0].2 == pair[1].1));
    }
}
