"""What the learners of images and of sound share; needs the extras ``image`` or ``audio``."""
