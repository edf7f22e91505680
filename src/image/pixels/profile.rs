//! The colours of an embedded profile become sRGB, which is what a screen and a texture take a number to mean.

use std::sync::Arc;

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformExecutor, TransformOptions};

use super::codec::Canvas;
use crate::error::{Result, Status};
use crate::panics;

/// Does nothing where there is no profile, and where it is none of RGB colours or is damaged: its numbers are then taken as sRGB,
/// as browsers do.
///
/// # Errors
/// Those of `go_on` alone, which is asked before each row.
pub(super) fn to_srgb(canvas: &mut Canvas, go_on: impl Fn() -> Result<()>) -> Result<()> {
    let Some(profile) = canvas.profile.take() else { return Ok(()) };
    let row = canvas.width as usize * 4;
    // It was written for the profile of anybody, and is handed to nobody when it breaks.
    let result = panics::contain(|| {
        let Some(transform) = transform(&profile).filter(|transform| changes_colours(&**transform)) else {
            return Ok(());
        };
        let mut before = vec![0; row];
        for pixels in canvas.rgba.chunks_exact_mut(row) {
            go_on()?;
            before.copy_from_slice(pixels);
            let _ = transform.transform(&before, pixels);
        }
        Ok(())
    });
    result.or_else(|error| if error.status() == Status::Panic { Ok(()) } else { Err(error) })
}

fn transform(profile: &[u8]) -> Option<Arc<dyn TransformExecutor<u8> + Send + Sync>> {
    let profile = ColorProfile::new_from_slice(profile).ok()?;
    // A JPEG of four inks and a grey image come with a profile that their RGB does not follow.
    if profile.color_space != DataColorSpace::Rgb {
        return None;
    }
    let options = TransformOptions::default();
    profile.create_transform_8bit(Layout::Rgba, &ColorProfile::new_srgb(), Layout::Rgba, options).ok()
}

/// Whether it does more than to round: most profiles are sRGB itself, and its images keep their very numbers.
fn changes_colours(transform: &(dyn TransformExecutor<u8> + Send + Sync)) -> bool {
    let steps = [0_u8, 64, 128, 192, 255];
    let colours =
        steps.iter().flat_map(|red| steps.iter().flat_map(move |green| steps.map(|blue| [*red, *green, blue])));
    let from: Vec<u8> = colours.flat_map(|[red, green, blue]| [red, green, blue, 255]).collect();
    let mut to = vec![0; from.len()];
    transform.transform(&from, &mut to).is_ok() && from.iter().zip(&to).any(|(from, to)| from.abs_diff(*to) > 1)
}
