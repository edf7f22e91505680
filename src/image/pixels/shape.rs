//! The size, the way up, and the order of channels and rows that the caller wants.

use std::f64::consts::PI;
use std::ops::Range;

use image::metadata::Orientation;
use image::{RgbaImage, imageops};

use super::codec::{Canvas, no_memory};
use crate::error::Result;
use crate::picture::PixelOptions;

/// The lobes of Lanczos, on either side.
const LOBES: f64 = 3.0;
/// Of so many source columns at a time the sums are kept.
const BLOCK: usize = 8192;

/// Makes the image smaller until its longest side has `max_side` pixels; 0 leaves it. Lanczos with three lobes, each pixel weighed
/// by its alpha, so that what is under the transparent parts does not show at their edges.
///
/// Takes little memory beside the result: for each of its rows the source rows become one row of sums, and these its pixels.
pub(super) fn shrink(canvas: &mut Canvas, max_side: u32, go_on: impl Fn() -> Result<()>) -> Result<()> {
    let longest = canvas.width.max(canvas.height);
    if max_side == 0 || longest <= max_side {
        return Ok(());
    }
    let scaled = |side: u32| {
        let side = (u64::from(side) * u64::from(max_side) + u64::from(longest) / 2) / u64::from(longest);
        u32::try_from(side).unwrap_or(max_side).max(1)
    };
    let (width, height) = (scaled(canvas.width), scaled(canvas.height));
    let (from, to) = ((canvas.width as usize, canvas.height as usize), (width as usize, height as usize));
    let mut small = room(to.0 * to.1 * 4)?;
    small.resize(to.0 * to.1 * 4, 0);
    let columns = (BLOCK / from.0.div_ceil(to.0)).clamp(1, to.0);
    let mut down = room(most_weights(from.1, to.1))?;
    let mut across = room(columns * most_weights(from.0, to.0))?;
    let mut parts: Vec<Range<usize>> = room(columns)?;
    let mut sums: Vec<[f32; 4]> = room(columns * from.0.div_ceil(to.0) + most_weights(from.0, to.0))?;
    for first in (0..to.0).step_by(columns) {
        parts.clear();
        across.clear();
        parts.extend((first..to.0.min(first + columns)).map(|at| weigh(at, from.0, to.0, &mut across)));
        let block = parts[0].start..parts[parts.len() - 1].end;
        for y in 0..to.1 {
            go_on()?;
            down.clear();
            sums.clear();
            sums.resize(block.len(), [0.0; 4]);
            for (row, weight) in weigh(y, from.1, to.1, &mut down).zip(&down) {
                let row = &canvas.rgba[row * from.0 * 4..][block.start * 4..block.end * 4];
                for (sum, pixel) in sums.iter_mut().zip(row.chunks_exact(4)) {
                    let alpha = weight * f32::from(pixel[3]);
                    let seen = [f32::from(pixel[0]) * alpha, f32::from(pixel[1]) * alpha, f32::from(pixel[2]) * alpha];
                    *sum = [sum[0] + seen[0], sum[1] + seen[1], sum[2] + seen[2], sum[3] + alpha];
                }
            }
            let mut weights = across.iter();
            for (part, pixel) in parts.iter().zip(small[(y * to.0 + first) * 4..].chunks_exact_mut(4)) {
                let mut whole = [0.0; 4];
                for (sum, weight) in sums[part.start - block.start..part.end - block.start].iter().zip(&mut weights) {
                    whole = [0, 1, 2, 3].map(|n| whole[n] + sum[n] * weight);
                }
                pixel[3] = nearest(whole[3]);
                if pixel[3] > 0 {
                    (0..3).for_each(|n| pixel[n] = nearest(whole[n] / whole[3]));
                }
            }
        }
    }
    (canvas.rgba, canvas.width, canvas.height) = (small, width, height);
    Ok(())
}

/// Which pixels of a line of `from` make the one `at` of a line of `to`; adds how much each of them counts to `weights`.
fn weigh(at: usize, from: usize, to: usize, weights: &mut Vec<f32>) -> Range<usize> {
    let ratio = from as f64 / to as f64;
    let centre = (at as f64 + 0.5) * ratio - 0.5;
    let first = (centre - LOBES * ratio).ceil().max(0.0) as usize;
    let last = ((centre + LOBES * ratio).floor() as usize).min(from - 1);
    let weight = |at: usize| lanczos((at as f64 - centre) / ratio);
    let sum: f64 = (first..=last).map(weight).sum();
    weights.extend((first..=last).map(|at| (weight(at) / sum) as f32));
    first..last + 1
}

/// At most so many pixels make one.
fn most_weights(from: usize, to: usize) -> usize {
    (from.div_ceil(to) * 2 * LOBES as usize + 1).min(from)
}

fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { x.sin() / x };
    if x.abs() < LOBES { sinc(x * PI) * sinc(x * PI / LOBES) } else { 0.0 }
}

fn nearest(value: f32) -> u8 {
    // Beyond the ends, where the lobes reach, it is the end.
    (value + 0.5) as u8
}

/// Room for so many, or a clear refusal.
fn room<T>(len: usize) -> Result<Vec<T>> {
    let mut room = Vec::new();
    room.try_reserve_exact(len).map_err(|_| no_memory())?;
    Ok(room)
}

/// Turns the image as its camera says.
pub(super) fn turn_upright(canvas: &mut Canvas) -> Result<()> {
    let (from_right, from_below) = match canvas.orientation {
        Orientation::Rotate90FlipH => (false, false),
        Orientation::Rotate90 => (false, true),
        Orientation::Rotate270 => (true, false),
        Orientation::Rotate270FlipH => (true, true),
        // The others keep their size, and stay where they are.
        _ => return turn_in_place(canvas),
    };
    let (width, height) = (canvas.width as usize, canvas.height as usize);
    let mut upright = room(canvas.rgba.len())?;
    for x in 0..width {
        let x = if from_right { width - 1 - x } else { x };
        for y in 0..height {
            let y = if from_below { height - 1 - y } else { y };
            upright.extend_from_slice(&canvas.rgba[(y * width + x) * 4..][..4]);
        }
    }
    canvas.rgba = upright;
    std::mem::swap(&mut canvas.width, &mut canvas.height);
    Ok(())
}

fn turn_in_place(canvas: &mut Canvas) -> Result<()> {
    let turn = match canvas.orientation {
        Orientation::Rotate180 => imageops::rotate180_in_place,
        Orientation::FlipHorizontal => imageops::flip_horizontal_in_place,
        Orientation::FlipVertical => imageops::flip_vertical_in_place,
        _ => return Ok(()),
    };
    let rgba = std::mem::take(&mut canvas.rgba);
    let mut upright = RgbaImage::from_raw(canvas.width, canvas.height, rgba).ok_or_else(no_memory)?;
    turn(&mut upright);
    canvas.rgba = upright.into_raw();
    Ok(())
}

/// Puts channels and rows in the order that the caller wants.
pub(super) fn arrange(canvas: &mut Canvas, how: &PixelOptions) {
    if how.premultiply {
        for pixel in canvas.rgba.chunks_exact_mut(4).filter(|pixel| pixel[3] != 255) {
            let alpha = u32::from(pixel[3]);
            for part in &mut pixel[..3] {
                *part = u8::try_from((u32::from(*part) * alpha + 127) / 255).unwrap_or(u8::MAX);
            }
        }
    }
    if how.bgra {
        canvas.rgba.chunks_exact_mut(4).for_each(|pixel| pixel.swap(0, 2));
    }
    if how.flip_y {
        let row = canvas.width as usize * 4;
        let (upper, lower) = canvas.rgba.split_at_mut(canvas.height as usize / 2 * row);
        for (one, other) in upper.chunks_exact_mut(row).zip(lower.chunks_exact_mut(row).rev()) {
            one.swap_with_slice(other);
        }
    }
}
