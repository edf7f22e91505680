//! What a screenshot shows, told by the values of its pixels.

use std::path::Path;

use image::{Rgb, RgbImage};

/// The places of the six images, as both examples draw them.
pub(crate) const TILES: [(u32, u32); 6] = [(20, 20), (280, 20), (540, 20), (20, 280), (280, 280), (540, 280)];
/// Their sides.
pub(crate) const TILE: u32 = 240;

const BALL: Rgb<u8> = Rgb([255, 160, 0]);
const BAR: Rgb<u8> = Rgb([90, 200, 120]);

/// Cells that a tile is cut into, each way.
const CELLS: u32 = 12;

/// Reads a picture, whatever its format.
pub(crate) fn read(path: &Path) -> RgbImage {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if bytes.starts_with(b"BM") { bitmap(&bytes) } else { decode(&bytes) }
}

/// A bitmap of four bytes a pixel without compression, as SDL writes it: blue, green, red, and one that tells nothing; the last row
/// first, unless the height is negative.
fn bitmap(bytes: &[u8]) -> RgbImage {
    let word = |at: usize| i32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let (data, width, height) = (word(10) as usize, word(18) as u32, word(22));
    assert_eq!((bytes[28], width > 0 && height != 0), (32, true), "not a bitmap of 32 bits");
    assert!([0, 3].contains(&word(30)), "a compressed bitmap");
    let pixels = &bytes[data..];
    RgbImage::from_fn(width, height.unsigned_abs(), |x, y| {
        let row = if height > 0 { height.unsigned_abs() - 1 - y } else { y };
        let at = (row * width + x) as usize * 4;
        Rgb([pixels[at + 2], pixels[at + 1], pixels[at]])
    })
}

/// Decodes an encoded picture.
pub(crate) fn decode(bytes: &[u8]) -> RgbImage {
    image::load_from_memory(bytes).expect("a whole picture").to_rgb8()
}

/// One tile of a screenshot.
pub(crate) fn tile(shot: &RgbImage, index: usize) -> RgbImage {
    let (x, y) = TILES[index];
    image::imageops::crop_imm(shot, x, y, TILE, TILE).to_image()
}

/// How far two pictures of any size are apart: the largest difference of a colour, averaged over each of 12 by 12 cells.
/// A picture drawn smaller keeps its averages; one that is turned, mirrored or another does not.
pub(crate) fn distance(one: &RgbImage, other: &RgbImage) -> u32 {
    let mut largest = 0;
    for cell in 0..CELLS * CELLS {
        let (one, other) = (average(one, cell), average(other, cell));
        for (a, b) in one.into_iter().zip(other) {
            largest = largest.max((a - b).abs().round() as u32);
        }
    }
    largest
}

fn average(picture: &RgbImage, cell: u32) -> [f64; 3] {
    let (column, row) = (cell % CELLS, cell / CELLS);
    let part = |side: u32, place: u32| place * side / CELLS..(place + 1) * side / CELLS;
    let mut sums = [0.0; 3];
    let mut count = 0.0;
    for y in part(picture.height(), row) {
        for x in part(picture.width(), column) {
            for (sum, channel) in sums.iter_mut().zip(picture.get_pixel(x, y).0) {
                *sum += f64::from(channel);
            }
            count += 1.0;
        }
    }
    sums.map(|sum| sum / count)
}

/// Where the ball is: the middle of its pixels, across.
pub(crate) fn ball(shot: &RgbImage) -> f64 {
    let places: Vec<u32> = pixels(shot, BALL).map(|(x, _)| x).collect();
    // A square of 20 by 20; its edges may be blended.
    assert!((340..=420).contains(&places.len()), "{} pixels of a ball", places.len());
    places.iter().map(|x| f64::from(*x)).sum::<f64>() / places.len() as f64
}

/// How full the bar of each tile is, in percent; none where there is no bar.
pub(crate) fn bars(shot: &RgbImage) -> Vec<Option<u32>> {
    let bar = |index| {
        let across = pixels(&tile(shot, index), BAR).map(|(x, _)| x).max();
        across.map(|last| (last + 1).saturating_sub(20) * 100 / (TILE - 40))
    };
    (0..TILES.len()).map(bar).collect()
}

fn pixels(picture: &RgbImage, colour: Rgb<u8>) -> impl Iterator<Item = (u32, u32)> {
    let near = move |pixel: &Rgb<u8>| pixel.0.iter().zip(colour.0).all(|(a, b)| a.abs_diff(b) <= 3);
    picture.enumerate_pixels().filter(move |(_, _, pixel)| near(pixel)).map(|(x, y, _)| (x, y))
}

#[test]
fn the_comparison_sees_what_is_wrong_with_a_picture() {
    let picture = RgbImage::from_fn(640, 480, |x, y| Rgb([(x / 3) as u8, (y / 2) as u8, ((x + y) / 8) as u8]));
    let smaller = image::imageops::resize(&picture, TILE, TILE, image::imageops::FilterType::Nearest);
    assert!(distance(&picture, &smaller) <= 4, "{}", distance(&picture, &smaller));

    let swapped = RgbImage::from_fn(TILE, TILE, |x, y| {
        let Rgb([r, g, b]) = *smaller.get_pixel(x, y);
        Rgb([b, g, r])
    });
    // Each row begins a pixel further on, as with rows of a wrong length.
    let skewed = RgbImage::from_fn(TILE, TILE, |x, y| *smaller.get_pixel((x + y) % TILE, y));
    let wrong = [
        ("upside down", image::imageops::flip_vertical(&smaller)),
        ("mirrored", image::imageops::flip_horizontal(&smaller)),
        ("turned", image::imageops::rotate90(&smaller)),
        ("channels swapped", swapped),
        ("skewed", skewed),
        ("grey", RgbImage::from_pixel(TILE, TILE, Rgb([48, 48, 60]))),
    ];
    for (what, wrong) in wrong {
        assert!(distance(&picture, &wrong) > 40, "{what}: {}", distance(&picture, &wrong));
    }
}
