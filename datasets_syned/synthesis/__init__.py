"""
Makes synthetic pairs for image difference captioning: (image, instruction) pairs, an editor that carries the
instruction out, filters, and a language model that says it in other words (Evennou et al., WACV 2025, section 4).
"""

from .run import Summary, synthesize
from .settings import Settings, SplitSettings

__all__ = ["Settings", "SplitSettings", "Summary", "synthesize"]
