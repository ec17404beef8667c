"""For a class: exercises with answers that can be checked, and pictures that move."""
