"""Numbers and models into words: frames, sentences, equations, calls of R and Bambi."""
