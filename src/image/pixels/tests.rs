//! Images made by the encoders of the `image` crate, or by hand where a decoder has to be surprised.

use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::decode;
use crate::error::{Error, Result, Status};
use crate::http::Stop;
use crate::picture::{PictureInfo, PixelFormat, PixelOptions, Pixels};

const AS_IT_IS: PixelOptions =
    PixelOptions { max_side: 0, max_pixels: 0, flip_y: false, bgra: false, premultiply: false };

fn png(data: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(data, width, height, color).expect("encodes");
    bytes
}

fn jpeg(data: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 100).write_image(data, width, height, color).expect("encodes");
    bytes
}

fn webp(data: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    WebPEncoder::new_lossless(&mut bytes).write_image(data, width, height, color).expect("encodes");
    bytes
}

fn pixels(bytes: &[u8], how: &PixelOptions) -> Result<Pixels> {
    decode(bytes, &PictureInfo::default(), how, None)
}

fn refused(bytes: &[u8], how: &PixelOptions) -> Error {
    pixels(bytes, how).expect_err("refused")
}

/// Bytes that nothing makes shorter.
fn noise(len: u32) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..len).map(&mut next).collect()
}

/// A chunk of a PNG with its checksum.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = !0_u32;
    for byte in kind.iter().chain(data) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let length = u32::try_from(data.len()).expect("short");
    [&length.to_be_bytes()[..], kind, data, &(!crc).to_be_bytes()].concat()
}

/// The PNG with a chunk put in after its header.
fn with_chunk(png: &[u8], kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    const HEADER: usize = 8 + 25;
    [&png[..HEADER], &chunk(kind, data), &png[HEADER..]].concat()
}

/// An EXIF block that says nothing but which way up.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
    [&b"MM\0*\0\0\0\x08\0\x01"[..], &entry, &[0; 4]].concat()
}

/// Red, green over blue, white; the last one half transparent.
const FOUR: [u8; 16] = [255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 255, 255, 255, 128];

#[test]
fn png_and_lossless_webp_give_the_very_pixels() {
    for bytes in [png(&FOUR, 2, 2, ExtendedColorType::Rgba8), webp(&FOUR, 2, 2, ExtendedColorType::Rgba8)] {
        let pixels = pixels(&bytes, &AS_IT_IS).expect("pixels");
        assert_eq!((pixels.width, pixels.height, pixels.format), (2, 2, PixelFormat::Rgba8));
        assert_eq!(pixels.data, FOUR);
    }
}

#[test]
fn a_jpeg_gives_nearly_the_pixels() {
    let grey = [90_u8; 3 * 16 * 8];
    let pixels = pixels(&jpeg(&grey, 16, 8, ExtendedColorType::Rgb8), &AS_IT_IS).expect("pixels");
    assert_eq!((pixels.width, pixels.height, pixels.data.len()), (16, 8, 16 * 8 * 4));
    for pixel in pixels.data.chunks_exact(4) {
        assert!(pixel[..3].iter().all(|part| part.abs_diff(90) <= 1) && pixel[3] == 255, "{pixel:?}");
    }
}

#[test]
fn every_kind_of_colour_becomes_rgba_of_eight_bits() {
    let wide = |parts: &[u16]| parts.iter().flat_map(|part| part.to_ne_bytes()).collect::<Vec<u8>>();
    let cases = [
        (vec![10, 20], ExtendedColorType::L8, [10, 10, 10, 255, 20, 20, 20, 255]),
        (vec![10, 1, 20, 2], ExtendedColorType::La8, [10, 10, 10, 1, 20, 20, 20, 2]),
        (vec![1, 2, 3, 4, 5, 6], ExtendedColorType::Rgb8, [1, 2, 3, 255, 4, 5, 6, 255]),
        (wide(&[0, 0xFFFF]), ExtendedColorType::L16, [0, 0, 0, 255, 255, 255, 255, 255]),
        (wide(&[0x8080, 0xFFFF, 0x0101, 0]), ExtendedColorType::La16, [128, 128, 128, 255, 1, 1, 1, 0]),
        (wide(&[0, 0x101, 0x202, 0x303, 0x404, 0xFFFF]), ExtendedColorType::Rgb16, [0, 1, 2, 255, 3, 4, 255, 255]),
        (
            wide(&[0, 0x101, 0x202, 0, 0x303, 0x404, 0xFFFF, 0x505]),
            ExtendedColorType::Rgba16,
            [0, 1, 2, 0, 3, 4, 255, 5],
        ),
    ];
    for (data, color, expected) in cases {
        let pixels = pixels(&png(&data, 2, 1, color), &AS_IT_IS).expect("pixels");
        assert_eq!(pixels.data, expected, "{color:?}");
        assert_eq!(pixels.data.capacity(), pixels.data.len(), "{color:?}");
    }
}

#[test]
fn rows_and_channels_lie_as_they_are_asked_for() {
    let bytes = png(&FOUR, 2, 2, ExtendedColorType::Rgba8);
    let flipped = pixels(&bytes, &PixelOptions { flip_y: true, ..AS_IT_IS }).expect("pixels");
    assert_eq!(flipped.data, [&FOUR[8..], &FOUR[..8]].concat());
    let swapped = pixels(&bytes, &PixelOptions { bgra: true, ..AS_IT_IS }).expect("pixels");
    assert_eq!((&swapped.data[..4], swapped.format), (&[0, 0, 255, 255][..], PixelFormat::Bgra8));
    let multiplied = pixels(&bytes, &PixelOptions { premultiply: true, ..AS_IT_IS }).expect("pixels");
    assert_eq!(multiplied.data[..12], FOUR[..12]);
    assert_eq!(multiplied.data[12..], [128, 128, 128, 128]);
    let odd = png(&[1, 2, 3], 1, 3, ExtendedColorType::L8);
    let rows: Vec<u8> = pixels(&odd, &PixelOptions { flip_y: true, ..AS_IT_IS }).expect("pixels").data;
    assert_eq!([rows[0], rows[4], rows[8]], [3, 2, 1]);
}

#[test]
fn an_image_stands_as_its_camera_says() {
    // Two pixels side by side, told apart by their grey; where the first goes under each of the eight.
    let bytes = png(&[10, 20], 2, 1, ExtendedColorType::L8);
    let expected = [
        (1, 2, 1, [10, 20]),
        (2, 2, 1, [20, 10]),
        (3, 2, 1, [20, 10]),
        (4, 2, 1, [10, 20]),
        (5, 1, 2, [10, 20]),
        (6, 1, 2, [10, 20]),
        (7, 1, 2, [20, 10]),
        (8, 1, 2, [20, 10]),
    ];
    for (orientation, width, height, greys) in expected {
        let pixels = pixels(&with_chunk(&bytes, b"eXIf", &exif(orientation)), &AS_IT_IS).expect("pixels");
        assert_eq!((pixels.width, pixels.height), (width, height), "orientation {orientation}");
        assert_eq!([pixels.data[0], pixels.data[4]], greys, "orientation {orientation}");
    }
    let (mut photo, mut webp) = (Vec::new(), Vec::new());
    let mut encoder = JpegEncoder::new(&mut photo);
    encoder.set_exif_metadata(exif(6)).expect("takes it");
    encoder.write_image(&[99; 16 * 8], 16, 8, ExtendedColorType::L8).expect("encodes");
    let mut encoder = WebPEncoder::new_lossless(&mut webp);
    encoder.set_exif_metadata(exif(6)).expect("takes it");
    encoder.write_image(&[99; 16 * 8 * 3], 16, 8, ExtendedColorType::Rgb8).expect("encodes");
    for bytes in [photo, webp] {
        let pixels = pixels(&bytes, &AS_IT_IS).expect("pixels");
        assert_eq!((pixels.width, pixels.height), (8, 16));
    }
}

#[test]
fn every_turn_is_that_of_the_image_crate() {
    let data = noise(5 * 3 * 4);
    let bytes = png(&data, 5, 3, ExtendedColorType::Rgba8);
    for orientation in 1..=8 {
        let mut expected = image::DynamicImage::from(image::RgbaImage::from_raw(5, 3, data.clone()).expect("fits"));
        expected.apply_orientation(image::metadata::Orientation::from_exif(orientation).expect("one of eight"));
        let pixels = pixels(&with_chunk(&bytes, b"eXIf", &exif(orientation)), &AS_IT_IS).expect("pixels");
        assert_eq!((pixels.width, pixels.height), (expected.width(), expected.height()), "orientation {orientation}");
        assert_eq!(pixels.data, expected.into_bytes(), "orientation {orientation}");
    }
}

/// Pictures of kinds that our encoders do not make: left half red, right half blue, or what their names say.
const PICTURES: [(&str, &[u8]); 8] = [
    ("progressive.jpg", include_bytes!("../../../tests/data/pictures/progressive.jpg")),
    ("inks.jpg", include_bytes!("../../../tests/data/pictures/inks.jpg")),
    ("lossy.webp", include_bytes!("../../../tests/data/pictures/lossy.webp")),
    ("lossy-alpha.webp", include_bytes!("../../../tests/data/pictures/lossy-alpha.webp")),
    ("animated.webp", include_bytes!("../../../tests/data/pictures/animated.webp")),
    ("animated.png", include_bytes!("../../../tests/data/pictures/animated.png")),
    ("palette.png", include_bytes!("../../../tests/data/pictures/palette.png")),
    ("wide-interlaced.png", include_bytes!("../../../tests/data/pictures/wide-interlaced.png")),
];

#[test]
fn every_kind_of_png_jpeg_and_webp_is_decoded() {
    for (name, bytes) in PICTURES {
        let pixels = pixels(bytes, &AS_IT_IS).unwrap_or_else(|error| panic!("{name}: {error}"));
        let at = |x: u32, y: u32| {
            let start = ((y * pixels.width + x) * 4) as usize;
            [0, 1, 2, 3].map(|part| pixels.data[start + part])
        };
        let near = |pixel: [u8; 4], expected: [u8; 4]| {
            let is_near = pixel.iter().zip(expected).all(|(one, other)| one.abs_diff(other) <= 12);
            assert!(is_near, "{name}: {pixel:?} is not {expected:?}");
        };
        let (red, blue) = ([200, 40, 40], [40, 40, 200]);
        let opaque = |[r, g, b]: [u8; 3]| [r, g, b, 255];
        match name {
            "wide-interlaced.png" => {
                assert_eq!((pixels.width, pixels.height), (16, 16));
                near(at(0, 0), [255, 0, 0, 255]);
                near(at(0, 15), [0, 0, 255, 255]);
                continue;
            }
            "palette.png" => {
                // One of the two colours is the transparent one.
                let alphas = [at(4, 4)[3], at(28, 4)[3]];
                assert!(alphas == [0, 255] || alphas == [255, 0], "{alphas:?}");
                near([at(4, 4)[0], at(4, 4)[1], at(4, 4)[2], 255], opaque(red));
            }
            _ => {
                near(at(4, 4), opaque(red));
                near(at(28, 4), opaque(blue));
            }
        }
        assert_eq!((pixels.width, pixels.height), (32, 16), "{name}");
        if name == "lossy-alpha.webp" {
            assert_eq!((at(4, 12)[3], at(28, 12)[3]), (0, 0));
        }
    }
}

#[test]
fn a_larger_image_is_made_smaller_and_none_is_made_larger() {
    let size = |width: u32, height: u32, max_side: u32| {
        let bytes = png(&vec![7; (width * height) as usize], width, height, ExtendedColorType::L8);
        let pixels = pixels(&bytes, &PixelOptions { max_side, ..AS_IT_IS }).expect("pixels");
        assert_eq!(pixels.data.len(), (pixels.width * pixels.height * 4) as usize);
        assert!(pixels.data.chunks_exact(4).all(|pixel| pixel == [7, 7, 7, 255]));
        (pixels.width, pixels.height)
    };
    assert_eq!(size(100, 50, 20), (20, 10));
    assert_eq!(size(50, 100, 20), (10, 20));
    assert_eq!(size(300, 2, 10), (10, 1));
    assert_eq!(size(20, 10, 20), (20, 10));
    assert_eq!(size(20, 10, u32::MAX), (20, 10));
}

#[test]
fn a_smaller_image_is_the_one_that_lanczos_makes() {
    // Opaque, so that the image crate's own filter, which knows no alpha, is right about it; wider than what is done at a time.
    for (width, height, max_side) in [(60, 37, 41), (37, 60, 7), (64, 64, 1), (20_000, 3, 9_000), (3, 500, 499)] {
        let mut data = noise(width * height * 4);
        data.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 255);
        let large = image::RgbaImage::from_raw(width, height, data.clone()).expect("fits");
        let bytes = png(&data, width, height, ExtendedColorType::Rgba8);
        let small = pixels(&bytes, &PixelOptions { max_side, ..AS_IT_IS }).expect("pixels");
        let filter = image::imageops::FilterType::Lanczos3;
        let expected = image::imageops::resize(&large, small.width, small.height, filter);
        for (n, (one, other)) in small.data.iter().zip(expected.as_raw()).enumerate() {
            assert!(one.abs_diff(*other) <= 2, "{width} x {height} to {max_side}, at {n}: {one}, not {other}");
        }
    }
}

#[test]
fn what_is_under_transparent_pixels_does_not_show_at_their_edges() {
    // Opaque white beside green that nobody sees.
    let mut data = Vec::new();
    for _ in 0..16 {
        for x in 0..16 {
            data.extend(if x < 9 { [255, 255, 255, 255] } else { [0, 255, 0, 0] });
        }
    }
    let bytes = png(&data, 16, 16, ExtendedColorType::Rgba8);
    let small = pixels(&bytes, &PixelOptions { max_side: 4, ..AS_IT_IS }).expect("pixels");
    for pixel in small.data.chunks_exact(4).filter(|pixel| pixel[3] > 8) {
        assert!(pixel[0] > 240 && pixel[2] > 240, "a green edge: {pixel:?}");
    }
}

#[test]
fn more_pixels_than_allowed_are_refused_by_the_head_alone() {
    let bytes = png(&vec![0; 100 * 100], 100, 100, ExtendedColorType::L8);
    let error = refused(&bytes, &PixelOptions { max_pixels: 9_999, ..AS_IT_IS });
    assert_eq!(error.status(), Status::TooLarge);
    assert!(error.message().contains("100 x 100") && error.message().contains("9999"), "{error}");
    assert!(pixels(&bytes, &PixelOptions { max_pixels: 10_000, ..AS_IT_IS }).is_ok());

    // Heads that promise what nobody has memory for, and nothing behind them.
    let mut giant = png(&[0], 1, 1, ExtendedColorType::L8);
    for (width, height) in [(u32::MAX >> 1, u32::MAX >> 1), (u32::MAX >> 1, 1), (1, u32::MAX >> 1), (8193, 8192)] {
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &giant[24..29]].concat();
        giant.splice(8..33, chunk(b"IHDR", &header));
        assert_eq!(refused(&giant, &AS_IT_IS).status(), Status::TooLarge, "{width} x {height}");
    }
    let mut tall = jpeg(&[0; 64 * 3], 8, 8, ExtendedColorType::Rgb8);
    let frame = tall.windows(2).position(|mark| mark == [0xFF, 0xC0]).expect("a frame");
    tall[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    assert_eq!(refused(&tall, &AS_IT_IS).status(), Status::TooLarge);
    let mut canvas = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0".to_vec();
    canvas.extend([0xFF; 6]);
    assert_eq!(refused(&canvas, &AS_IT_IS).status(), Status::TooLarge);
    // A frame that is larger than its canvas, for which the decoder takes memory all the same.
    let (_, picture) = PICTURES.iter().find(|(name, _)| *name == "lossy-alpha.webp").expect("a picture");
    let mut picture = picture.to_vec();
    let frame = picture.windows(4).position(|name| name == b"VP8 ").expect("a lossy frame");
    assert_eq!(picture[frame + 11..frame + 14], [0x9D, 0x01, 0x2A]);
    picture[frame + 14..frame + 18].copy_from_slice(&[0xFF; 4]);
    assert_eq!(refused(&picture, &AS_IT_IS).status(), Status::TooLarge);
}

#[test]
fn a_profile_that_unfolds_without_end_is_left_out() {
    let carrying = |profile: &[u8]| with_profile(&[1, 2, 3], profile);
    // What is in the file may be as long as the file.
    assert!(pixels(&carrying(&noise(2_000_000)), &AS_IT_IS).is_ok());
    let bomb = carrying(&vec![0; 50_000_000]);
    assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
    // The PNG decoder leaves such a profile out, and the picture is shown by its numbers.
    assert_eq!(pixels(&bomb, &AS_IT_IS).expect("pixels").data, [1, 2, 3, 255]);
}

#[test]
fn damaged_images_are_refused_and_never_a_panic() {
    let noise = noise(64 * 64 * 3);
    let whole = [
        png(&noise, 64, 64, ExtendedColorType::Rgb8),
        jpeg(&noise, 64, 64, ExtendedColorType::Rgb8),
        webp(&noise, 64, 64, ExtendedColorType::Rgb8),
    ];
    for bytes in &whole {
        assert!(pixels(bytes, &AS_IT_IS).is_ok());
        for cut in (0..bytes.len()).step_by(97) {
            if let Err(error) = pixels(&bytes[..cut], &AS_IT_IS) {
                assert!(
                    matches!(error.status(), Status::BadImage | Status::TooLarge | Status::Unsupported),
                    "{error:?}"
                );
            }
        }
        for at in (0..bytes.len()).step_by(53) {
            let mut broken = bytes.clone();
            broken[at] ^= 0x55;
            let how = PixelOptions { max_pixels: 1 << 20, ..AS_IT_IS };
            if let Err(error) = pixels(&broken, &how) {
                let known = [Status::BadImage, Status::TooLarge, Status::Unsupported];
                assert!(known.contains(&error.status()), "{error:?}");
            }
        }
    }
    assert_eq!(refused(&whole[0][..whole[0].len() / 2], &AS_IT_IS).status(), Status::BadImage);
    assert_eq!(refused(b"GIF89a\x01\0\x01\0\0\0\0;", &AS_IT_IS).status(), Status::Unsupported);
    assert_eq!(refused(b"<html>", &AS_IT_IS).status(), Status::BadImage);
}

/// A profile of RGB with the given primaries' matrix columns and a gamma, as small as ICC allows.
fn profile(space: &[u8; 4], columns: [[f64; 3]; 3], gamma: f64) -> Vec<u8> {
    let fixed = |value: f64| ((value * 65_536.0).round() as i32).to_be_bytes();
    let xyz = |[x, y, z]: [f64; 3]| [&b"XYZ \0\0\0\0"[..], &fixed(x), &fixed(y), &fixed(z)].concat();
    let curve = [&b"curv\0\0\0\0\0\0\0\x01"[..], &((gamma * 256.0).round() as u16).to_be_bytes(), &[0, 0]].concat();
    let white = xyz([0.9642, 1.0, 0.8249]);
    let tags: [(&[u8; 4], Vec<u8>); 7] = [
        (b"wtpt", white),
        (b"rXYZ", xyz(columns[0])),
        (b"gXYZ", xyz(columns[1])),
        (b"bXYZ", xyz(columns[2])),
        (b"rTRC", curve.clone()),
        (b"gTRC", curve.clone()),
        (b"bTRC", curve),
    ];
    let (mut table, mut data) = (vec![0, 0, 0, 7], Vec::new());
    let start = 128 + 4 + 12 * tags.len();
    for (name, tag) in tags {
        table.extend_from_slice(name);
        table.extend(u32::try_from(start + data.len()).expect("short").to_be_bytes());
        table.extend(u32::try_from(tag.len()).expect("short").to_be_bytes());
        data.extend(tag);
    }
    let mut head = vec![0; 128];
    head[..4].copy_from_slice(&u32::try_from(start + data.len()).expect("short").to_be_bytes());
    head[8] = 2;
    head[12..16].copy_from_slice(b"mntr");
    head[16..20].copy_from_slice(space);
    head[20..24].copy_from_slice(b"XYZ ");
    head[36..40].copy_from_slice(b"acsp");
    head[68..80].copy_from_slice(&[fixed(0.9642), fixed(1.0), fixed(0.8249)].concat());
    [head, table, data].concat()
}

/// Display P3 and sRGB at D50, as their profiles have them.
const P3: [[f64; 3]; 3] = [[0.5151, 0.2412, -0.0011], [0.2920, 0.6922, 0.0419], [0.1571, 0.0666, 0.7841]];
const SRGB: [[f64; 3]; 3] = [[0.4361, 0.2225, 0.0139], [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7141]];

/// A PNG of one row.
fn with_profile(rgb: &[u8], profile: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(profile.to_vec()).expect("takes a profile");
    let width = u32::try_from(rgb.len() / 3).expect("few");
    encoder.write_image(rgb, width, 1, ExtendedColorType::Rgb8).expect("encodes");
    bytes
}

#[test]
fn the_colours_of_a_profile_become_srgb() {
    let near = |data: &[u8], expected: [u8; 3]| {
        let is_near = data.iter().zip(expected).all(|(one, other)| one.abs_diff(other) <= 2);
        assert!(is_near, "{data:?} is not {expected:?}");
    };
    // Worked out apart with the columns above, the gamma and the curve of sRGB; white stays white.
    let wide = with_profile(&[200, 100, 50, 255, 255, 255], &profile(b"RGB ", P3, 2.2));
    let wide = pixels(&wide, &AS_IT_IS).expect("pixels").data;
    near(&wide[..3], [216, 93, 24]);
    near(&wide[4..7], [255, 255, 255]);
    // As wide as sRGB, with the curve of another.
    let dark = with_profile(&[200, 100, 50], &profile(b"RGB ", SRGB, 1.8));
    let dark = pixels(&dark, &AS_IT_IS).expect("pixels").data;
    assert!(dark.iter().zip([200, 100, 50]).all(|(one, other): (&u8, u8)| *one > other), "{dark:?}");
}

#[test]
fn an_image_with_the_profile_of_srgb_keeps_its_numbers() {
    let srgb = moxcms::ColorProfile::new_srgb().encode().expect("a profile");
    let rgb = noise(3 * 500);
    let pixels = pixels(&with_profile(&rgb, &srgb), &AS_IT_IS).expect("pixels");
    for (pixel, rgb) in pixels.data.chunks_exact(4).zip(rgb.chunks_exact(3)) {
        assert_eq!(&pixel[..3], rgb);
    }
}

#[test]
fn a_profile_that_is_none_changes_nothing() {
    let good = profile(b"RGB ", P3, 2.2);
    let odd = [
        profile(b"GRAY", P3, 2.2),
        profile(b"CMYK", P3, 2.2),
        good[..good.len() / 2].to_vec(),
        b"no profile".to_vec(),
        vec![0; 200],
        vec![0xFF; 5000],
    ];
    for profile in odd {
        let pixels = pixels(&with_profile(&[200, 100, 50], &profile), &AS_IT_IS).expect("pixels");
        assert_eq!(pixels.data, [200, 100, 50, 255]);
    }
    for cut in 0..good.len() {
        let _ = pixels(&with_profile(&[200, 100, 50], &good[..cut]), &AS_IT_IS).expect("pixels");
    }
}

#[test]
fn a_stop_ends_a_decoder() {
    let stop = Stop::new();
    stop.stop();
    let bytes = png(&FOUR, 2, 2, ExtendedColorType::Rgba8);
    let error = decode(&bytes, &PictureInfo::default(), &AS_IT_IS, Some(&stop)).expect_err("stopped");
    assert_eq!(error.status(), Status::Cancelled);
}

#[test]
fn a_stop_ends_what_comes_after_the_decoder() {
    let canvas = || super::codec::decode(&with_profile(&noise(300), &profile(b"RGB ", P3, 2.2)), 1 << 20, None);
    let stopped = || Err(Error::new(Status::Cancelled, "stopped"));
    let mut large = canvas().expect("a canvas");
    assert_eq!(super::shape::shrink(&mut large, 8, stopped).expect_err("stopped").status(), Status::Cancelled);
    let mut coloured = canvas().expect("a canvas");
    assert_eq!(super::profile::to_srgb(&mut coloured, stopped).expect_err("stopped").status(), Status::Cancelled);
    assert_eq!(coloured.rgba, large.rgba);
}

#[test]
fn a_thread_of_ours_has_stack_enough() {
    // As the fleet's workers.
    let noise = noise(256 * 256 * 3);
    let mut images = vec![
        png(&noise, 256, 256, ExtendedColorType::Rgb8),
        jpeg(&noise, 256, 256, ExtendedColorType::Rgb8),
        webp(&noise, 256, 256, ExtendedColorType::Rgb8),
        with_profile(&noise[..300], &profile(b"RGB ", P3, 2.2)),
    ];
    images.extend(PICTURES.map(|(_, bytes)| bytes.to_vec()));
    let work = move || {
        for bytes in images {
            pixels(&bytes, &PixelOptions { max_side: 8, ..AS_IT_IS }).expect("pixels");
        }
    };
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(work).expect("a thread").join().expect("no overflow");
}

/// How many MiB more than before the process has at the most while it works.
#[cfg(target_os = "linux")]
fn peak_of(what: &str, most_mib: f64, work: impl FnOnce()) {
    let status = |name: &str| {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of that name");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("kB") / 1024.0
    };
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak can be reset");
    let before = status("VmRSS:");
    work();
    let peak = status("VmHWM:") - before;
    println!("{what}: {peak:.1} MiB");
    assert!(peak < most_mib, "{what}: {peak:.1} MiB");
}

#[test]
#[ignore = "measures the whole process: run alone"]
#[cfg(target_os = "linux")]
fn a_smaller_image_takes_little_more_than_itself() {
    const SOURCE_MIB: f64 = 16.0;
    let bytes = png(&vec![7; 2048 * 2048], 2048, 2048, ExtendedColorType::L8);
    for (max_side, result_mib) in [(2000, 15.3), (100, 0.1)] {
        peak_of("a smaller image", SOURCE_MIB + result_mib + 4.0, || {
            assert!(pixels(&bytes, &PixelOptions { max_side, ..AS_IT_IS }).is_ok());
        });
    }
}

#[test]
#[ignore = "measures the whole process: run alone"]
#[cfg(target_os = "linux")]
fn bombs_take_no_memory() {
    const MOST_MIB: f64 = 2.0;
    let peak_of = |what: &str, work: &dyn Fn()| peak_of(what, MOST_MIB, work);
    let mut wide = png(&[0], 1, 1, ExtendedColorType::L8);
    for (width, height) in [(30_000_u32, 30_000_u32), (u32::MAX >> 1, 1)] {
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &wide[24..29]].concat();
        wide.splice(8..33, chunk(b"IHDR", &header));
        let bomb = wide.clone();
        peak_of("pixels", &|| assert_eq!(refused(&bomb, &AS_IT_IS).status(), Status::TooLarge));
    }
    let bomb = with_profile(&[1, 2, 3], &vec![0; 50_000_000]);
    peak_of("a profile", &|| assert!(pixels(&bomb, &AS_IT_IS).is_ok()));
    // One row that unfolds to a hundred megabytes, of which the image has use for one pixel.
    let mut long = png(&vec![0; 100_000_000], 100_000_000, 1, ExtendedColorType::L8);
    let header = [&1_u32.to_be_bytes()[..], &1_u32.to_be_bytes(), &long[24..29]].concat();
    long.splice(8..33, chunk(b"IHDR", &header));
    long.shrink_to_fit();
    peak_of("data beyond the image", &|| assert!(pixels(&long, &AS_IT_IS).is_ok_and(|pixels| pixels.data.len() == 4)));
}
