#pragma once
/* The few things that are asked of DCMTK, behind plain C: no exception and no C++ type crosses this line.
   Every function returns 1 on success, and 0 with a reason in `error` otherwise. */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TL_DICOM_TEXT = 128 };

/* What a CT image says of itself. Texts are empty, and has_… 0, where the file says nothing. */
typedef struct tl_dicom_image {
    char sop_class[TL_DICOM_TEXT], sop_instance[TL_DICOM_TEXT], series[TL_DICOM_TEXT], study[TL_DICOM_TEXT];
    char frame_of_reference[TL_DICOM_TEXT], modality[TL_DICOM_TEXT], photometric[TL_DICOM_TEXT];
    char series_description[TL_DICOM_TEXT], rescale_type[TL_DICOM_TEXT], transfer_syntax[TL_DICOM_TEXT];
    int rows, columns, samples, frames, bits_stored, instance_number;
    int has_position, has_orientation, has_spacing, has_rescale, has_tilt;
    double position[3], orientation[6], spacing[2], slope, intercept, tilt;
} tl_dicom_image;

/* Whether the file begins as a DICOM file (128 bytes, then DICM). */
int tl_dicom_is_file(const char *path);
int tl_dicom_read_image(const char *path, tl_dicom_image *image, char *error, size_t error_size);
/* rows × columns values, rescaled; compressed files are unpacked. */
int tl_dicom_read_values(const char *path, float *values, size_t count, char *error, size_t error_size);

/* What one Secondary Capture image is written from. */
typedef struct tl_dicom_capture {
    const char *source; /* the CT image whose patient, study and place are taken over */
    const char *sop_instance, *series;
    const char *series_description, *derivation, *software;
    int series_number, instance_number;
    int rows, columns;
    const uint8_t *rgb; /* rows × columns × 3 */
} tl_dicom_capture;

int tl_dicom_write_capture(const char *path, const tl_dicom_capture *capture, char *error, size_t error_size);

/* What a Parametric Map is written from: the raw values of all slices in one file. */
typedef struct tl_dicom_map {
    const char *source; /* a CT image whose patient, study and frame of reference are taken over */
    const char *sop_instance, *series, *dimension;
    const char *series_description, *description, *software;
    int series_number, rows, columns, frames;
    double spacing[2], step, orientation[6], lowest, highest;
    const double *positions; /* frames × 3 */
    const float *values;     /* frames × rows × columns */
} tl_dicom_map;

int tl_dicom_write_map(const char *path, const tl_dicom_map *map, char *error, size_t error_size);

#ifdef __cplusplus
}
#endif
