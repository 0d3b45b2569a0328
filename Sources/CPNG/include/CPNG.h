#pragma once
#include <stddef.h>
#include <stdint.h>

/* Reads PNG from memory through libpng. libpng reports errors by longjmp; these functions keep every jump inside C and
   return 1 for success, 0 for an error whose text is in `message`. */

typedef struct {
    uint32_t width;
    uint32_t height;
    int bit_depth;    /* of one sample as stored: 1, 2, 4, 8 or 16 */
    int has_colour;   /* RGB or palette */
    int has_alpha;    /* an alpha channel or a transparency chunk */
} tomolens_png_header;

int tomolens_png_read_header(
    const uint8_t *bytes, size_t length, tomolens_png_header *header, char *message, size_t message_size);

/* Fills `pixels` with 8-bit samples, rows from the top without gaps: 4 channels where the header says alpha, otherwise 3
   where it says colour, otherwise 1. `capacity` must be width × height × channels exactly. 16-bit samples are scaled to the
   nearest 8-bit value; no gamma or colour profile is applied. Damage anywhere in the image data is an error, not a warning. */
int tomolens_png_read_pixels(
    const uint8_t *bytes, size_t length, uint8_t *pixels, size_t capacity, char *message, size_t message_size);
