//! Pictures: drawn from the prompt, the same for the same task, another for another prompt, and never the same scene at two
//! providers. Drawn in whole rows and discs, so that a debug build is quick too.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};
use sha2::{Digest, Sha256};

use super::Service;

/// Encoded pictures kept, together at most so many bytes.
const CACHE_BYTES: usize = 96 << 20;

/// What the bytes of a picture are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Format {
    Png,
    Jpeg,
    WebP,
}

impl Format {
    /// Reads `output_format`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "jpeg" | "jpg" => Some(Self::Jpeg),
            "webp" => Some(Self::WebP),
            _ => None,
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }

    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::WebP => "webp",
        }
    }
}

/// What a picture is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Canvas {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) format: Format,
}

/// Drawn pictures, by task and place.
#[derive(Default)]
pub(super) struct Pictures {
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    encoded: HashMap<[u8; 32], Arc<[u8]>>,
    order: VecDeque<[u8; 32]>,
    bytes: usize,
}

impl Pictures {
    /// The picture for a prompt: encoded, ready to be sent.
    pub(super) fn of(&self, service: Service, prompt: &str, index: usize, canvas: Canvas) -> Arc<[u8]> {
        let seed = seed(service, prompt, index);
        let key: [u8; 32] = Sha256::new()
            .chain_update(seed)
            .chain_update(canvas.width.to_le_bytes())
            .chain_update(canvas.height.to_le_bytes())
            .chain_update(canvas.format.extension())
            .finalize()
            .into();
        if let Some(encoded) = self.lock().encoded.get(&key) {
            return Arc::clone(encoded);
        }
        // Drawn outside of the lock: two askers may draw the same picture twice, and get the same bytes.
        let pixels = match service {
            Service::DimiLinks => landscape(seed, canvas),
            Service::LemonData => fruit(seed, canvas),
        };
        let encoded: Arc<[u8]> = encode(&pixels, canvas).into();
        let mut cache = self.lock();
        cache.bytes += encoded.len();
        if cache.encoded.insert(key, Arc::clone(&encoded)).is_some() {
            cache.bytes -= encoded.len();
        } else {
            cache.order.push_back(key);
        }
        while cache.bytes > CACHE_BYTES {
            let Some(oldest) = cache.order.pop_front() else { break };
            if let Some(dropped) = cache.encoded.remove(&oldest) {
                cache.bytes -= dropped.len();
            }
        }
        encoded
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seed(service: Service, prompt: &str, index: usize) -> [u8; 32] {
    Sha256::new()
        .chain_update(service.name())
        .chain_update([0])
        .chain_update(prompt)
        .chain_update([0, index as u8])
        .finalize()
        .into()
}

fn encode(pixels: &Raster, canvas: Canvas) -> Vec<u8> {
    let mut out = Vec::new();
    let (width, height, rgb) = (canvas.width, canvas.height, ExtendedColorType::Rgb8);
    // Encoding into memory fails only for a raster of another size than announced.
    let _ = match canvas.format {
        Format::Png => PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Up).write_image(
            &pixels.bytes,
            width,
            height,
            rgb,
        ),
        Format::Jpeg => JpegEncoder::new_with_quality(&mut out, 85).write_image(&pixels.bytes, width, height, rgb),
        Format::WebP => WebPEncoder::new_lossless(&mut out).write_image(&pixels.bytes, width, height, rgb),
    };
    out
}

type Colour = [u8; 3];

struct Raster {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

impl Raster {
    /// A picture of rows, each of one colour, from top to bottom.
    fn gradient(canvas: Canvas, top: Colour, bottom: Colour) -> Self {
        let (width, height) = (canvas.width as usize, canvas.height as usize);
        let mut raster = Self { width, height, bytes: vec![0; width * height * 3] };
        for y in 0..height {
            raster.span(y, 0, width, mix(top, bottom, y as f64 / height.max(2) as f64));
        }
        raster
    }

    /// Fills part of a row by doubling what is filled already.
    fn span(&mut self, y: usize, from: usize, to: usize, colour: Colour) {
        let row = &mut self.bytes[y * self.width * 3..(y + 1) * self.width * 3];
        let span = &mut row[from * 3..to.min(self.width) * 3];
        if span.is_empty() {
            return;
        }
        span[..3].copy_from_slice(&colour);
        let mut filled = 3;
        while filled < span.len() {
            let more = filled.min(span.len() - filled);
            span.copy_within(..more, filled);
            filled += more;
        }
    }

    /// An ellipse; centre and radii as parts of width and height.
    fn ellipse(&mut self, x: f64, y: f64, radius_x: f64, radius_y: f64, colour: Colour) {
        let (width, height) = (self.width as f64, self.height as f64);
        let (x, y, radius_x, radius_y) = (x * width, y * height, radius_x * width, radius_y * height);
        let first = (y - radius_y).max(0.0) as usize;
        let last = ((y + radius_y).max(0.0) as usize).min(self.height.saturating_sub(1));
        for row in first..=last {
            let away = (row as f64 + 0.5 - y) / radius_y;
            if away.abs() >= 1.0 {
                continue;
            }
            let half = radius_x * (1.0 - away * away).sqrt();
            let (from, to) = ((x - half).max(0.0) as usize, (x + half).clamp(0.0, width) as usize);
            if from < to {
                self.span(row, from, to, colour);
            }
        }
    }

    /// A disc that is round on a canvas of any shape; the radius is a part of the shorter side.
    fn disc(&mut self, x: f64, y: f64, radius: f64, colour: Colour) {
        let side = self.width.min(self.height) as f64;
        self.ellipse(x, y, radius * side / self.width as f64, radius * side / self.height as f64, colour);
    }
}

/// Numbers from the seed: a small generator is enough for a drawing.
struct Dice(u64);

impl Dice {
    fn new(seed: [u8; 32]) -> Self {
        let mut start = [0; 8];
        start.copy_from_slice(&seed[..8]);
        Self(u64::from_le_bytes(start) | 1)
    }

    /// Evenly between two numbers.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + (high - low) * (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// DimiLinks draws a sky, a sun and hills.
fn landscape(seed: [u8; 32], canvas: Canvas) -> Raster {
    let mut dice = Dice::new(seed);
    let hue = dice.between(0.0, 360.0);
    let horizon = hsl(hue + 40.0, 0.75, 0.80);
    let mut raster = Raster::gradient(canvas, hsl(hue, 0.60, 0.38), horizon);
    let (sun_x, sun_y, sun) = (dice.between(0.2, 0.8), dice.between(0.22, 0.45), dice.between(0.08, 0.14));
    for (scale, glow) in [(1.7, 0.25), (1.3, 0.5), (1.0, 1.0)] {
        raster.disc(sun_x, sun_y, sun * scale, mix(horizon, hsl(hue + 60.0, 0.95, 0.90), glow));
    }
    for layer in 0..4 {
        let depth = f64::from(layer) / 3.0;
        let colour = hsl(hue + 150.0 + 12.0 * depth, 0.35, 0.52 - 0.34 * depth);
        for hill in 0..4 {
            let x = f64::from(hill) / 3.0 + dice.between(-0.15, 0.15);
            let top = 0.60 + 0.11 * depth + dice.between(-0.05, 0.05);
            raster.ellipse(x, 1.15, dice.between(0.22, 0.36), 1.15 - top, colour);
        }
    }
    for _ in 0..9 {
        let (x, y) = (dice.between(0.0, 1.0), dice.between(0.9, 1.0));
        raster.disc(x, y, dice.between(0.02, 0.05), hsl(hue + 200.0, 0.5, dice.between(0.3, 0.6)));
    }
    raster
}

/// LemonData draws slices of fruit on a table.
fn fruit(seed: [u8; 32], canvas: Canvas) -> Raster {
    let mut dice = Dice::new(seed);
    let hue = dice.between(0.0, 360.0);
    let mut raster = Raster::gradient(canvas, hsl(hue, 0.45, 0.90), hsl(hue + 25.0, 0.50, 0.72));
    for _ in 0..7 {
        let (x, y, radius) = (dice.between(0.08, 0.92), dice.between(0.08, 0.92), dice.between(0.10, 0.24));
        let skin = dice.between(38.0, 95.0) + if dice.between(0.0, 1.0) > 0.7 { hue } else { 0.0 };
        raster.disc(x + 0.015, y + 0.02, radius, hsl(hue + 25.0, 0.35, 0.55));
        raster.disc(x, y, radius, hsl(skin, 0.95, 0.50));
        raster.disc(x, y, radius * 0.90, hsl(skin, 0.80, 0.92));
        let side = f64::from(canvas.width.min(canvas.height));
        let (step_x, step_y) = (radius * side / f64::from(canvas.width), radius * side / f64::from(canvas.height));
        let turn = dice.between(0.0, 1.0);
        for wedge in 0..8 {
            let angle = std::f64::consts::TAU * (f64::from(wedge) / 8.0 + turn);
            raster.disc(
                x + 0.52 * step_x * angle.cos(),
                y + 0.52 * step_y * angle.sin(),
                radius * 0.19,
                hsl(skin, 0.90, 0.62),
            );
        }
    }
    raster
}

fn mix(from: Colour, to: Colour, part: f64) -> Colour {
    let blend = |low: u8, high: u8| (f64::from(low) + (f64::from(high) - f64::from(low)) * part).round() as u8;
    [blend(from[0], to[0]), blend(from[1], to[1]), blend(from[2], to[2])]
}

/// Hue in degrees, saturation and lightness from 0 to 1.
fn hsl(hue: f64, saturation: f64, lightness: f64) -> Colour {
    let spread = saturation * lightness.min(1.0 - lightness);
    let channel = |offset: f64| {
        let place = (offset + hue / 30.0).rem_euclid(12.0);
        let value = lightness - spread * (place - 3.0).min(9.0 - place).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    [channel(0.0), channel(8.0), channel(4.0)]
}
