"""Draws and a design into numbers: arrays in, arrays out; nothing here fits or draws a picture."""
