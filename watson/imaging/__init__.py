"""Pictures: from whatever bytes a source holds to an upright RGB picture of bounded size, or a reason why not."""

from watson.imaging.normalise import PREPROCESSING_VERSION, NormalisedPicture, normalise, preprocessing_version

__all__ = ["PREPROCESSING_VERSION", "NormalisedPicture", "normalise", "preprocessing_version"]
