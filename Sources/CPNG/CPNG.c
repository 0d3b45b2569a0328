#include "CPNG.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const uint8_t *bytes;
    size_t length;
    size_t position;
    char *message;
    size_t message_size;
    jmp_buf escape;
} reader;

static void keep_message(reader *source, const char *text) {
    if (source->message_size == 0) return;
    strncpy(source->message, text, source->message_size - 1);
    source->message[source->message_size - 1] = 0;
}

static void fail(png_structp png, png_const_charp text) {
    reader *source = png_get_error_ptr(png);
    keep_message(source, text);
    longjmp(source->escape, 1);
}

static void ignore_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void read_bytes(png_structp png, png_bytep target, size_t count) {
    reader *source = png_get_io_ptr(png);
    if (count > source->length - source->position) png_error(png, "the file ends too early");
    memcpy(target, source->bytes + source->position, count);
    source->position += count;
}

/* Returns with the header and everything before the image data read, or jumps. */
static void open_png(png_structp png, png_infop info, reader *source) {
    png_set_read_fn(png, source, read_bytes);
    /* The caller has limits of its own, with messages that name them. */
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    /* Chunks that do not change pixels are not even parsed: a broken comment or profile is no reason to refuse an image. */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    /* What libpng would repair on its own (a checksum, too little image data) is damage to us. */
    png_set_benign_errors(png, 0);
    png_read_info(png, info);
}

static void describe(png_structp png, png_infop info, tomolens_png_header *header) {
    int colour_type = png_get_color_type(png, info);
    header->width = png_get_image_width(png, info);
    header->height = png_get_image_height(png, info);
    header->bit_depth = png_get_bit_depth(png, info);
    header->has_colour = (colour_type & PNG_COLOR_MASK_COLOR) != 0;
    header->has_alpha = (colour_type & PNG_COLOR_MASK_ALPHA) != 0 || png_get_valid(png, info, PNG_INFO_tRNS) != 0;
}

/* One pass: header only when `pixels` is null. `rows` is owned by the caller, so that a jump leaks nothing. */
static int read_png(reader *source, tomolens_png_header *header, uint8_t *pixels, size_t capacity, png_bytep **rows) {
    png_structp volatile png = png_create_read_struct(PNG_LIBPNG_VER_STRING, source, fail, ignore_warning);
    if (!png) {
        keep_message(source, "libpng cannot start (too little memory, or another version than built with)");
        return 0;
    }
    png_infop volatile info = NULL;
    if (setjmp(source->escape)) {
        png_structp p = png;
        png_infop i = info;
        png_destroy_read_struct(&p, &i, NULL);
        return 0;
    }
    info = png_create_info_struct(png);
    if (!info) png_error(png, "too little memory");
    open_png(png, info, source);
    describe(png, info, header);
    if (pixels) {
        size_t channels = header->has_alpha ? 4 : header->has_colour ? 3 : 1;
        png_set_scale_16(png);
        png_set_expand(png);
        if (channels == 4 && !header->has_colour) png_set_gray_to_rgb(png);
        png_set_interlace_handling(png);
        png_read_update_info(png, info);
        size_t row_bytes = png_get_rowbytes(png, info);
        if (row_bytes != header->width * channels || capacity / row_bytes != header->height
            || capacity % row_bytes != 0)
            png_error(png, "the image has another layout than its header says");
        *rows = malloc(sizeof(png_bytep) * header->height);
        if (!*rows) png_error(png, "too little memory");
        for (size_t y = 0; y < header->height; y++) (*rows)[y] = pixels + y * row_bytes;
        png_read_image(png, *rows);
        png_read_end(png, NULL);
    }
    png_structp p = png;
    png_infop i = info;
    png_destroy_read_struct(&p, &i, NULL);
    return 1;
}

int tomolens_png_read_header(
    const uint8_t *bytes, size_t length, tomolens_png_header *header, char *message, size_t message_size) {
    reader source = {.bytes = bytes, .length = length, .message = message, .message_size = message_size};
    return read_png(&source, header, NULL, 0, NULL);
}

int tomolens_png_read_pixels(
    const uint8_t *bytes, size_t length, uint8_t *pixels, size_t capacity, char *message, size_t message_size) {
    reader source = {.bytes = bytes, .length = length, .message = message, .message_size = message_size};
    tomolens_png_header header;
    png_bytep *rows = NULL;
    int ok = read_png(&source, &header, pixels, capacity, &rows);
    free(rows);
    return ok;
}
