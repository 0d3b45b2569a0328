#include "CDICOM.h"

#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <vector>

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <dcmtk/oflog/oflog.h>

namespace {

int refuse(char *error, size_t size, const std::string &text) {
    if (error && size) std::snprintf(error, size, "%s", text.c_str());
    return 0;
}

int refuse(char *error, size_t size, const OFCondition &condition) { return refuse(error, size, condition.text()); }

// DCMTK's decoders are registered once, and its log is silent: what matters is returned.
void prepare() {
    static std::once_flag once;
    std::call_once(once, [] {
        OFLog::configure(OFLogger::OFF_LOG_LEVEL);
        DJDecoderRegistration::registerCodecs();
        DJLSDecoderRegistration::registerCodecs();
        DcmRLEDecoderRegistration::registerCodecs();
    });
}

void text(DcmItem &item, const DcmTagKey &tag, char *out) {
    OFString value;
    out[0] = 0;
    if (item.findAndGetOFString(tag, value).good()) std::snprintf(out, TL_DICOM_TEXT, "%s", value.c_str());
}

int number(DcmItem &item, const DcmTagKey &tag, int otherwise) {
    Uint16 value = 0;
    return item.findAndGetUint16(tag, value).good() ? value : otherwise;
}

int decimals(DcmItem &item, const DcmTagKey &tag, double *out, int count) {
    for (int index = 0; index < count; index++) {
        Float64 value = 0;
        if (item.findAndGetFloat64(tag, value, index).bad()) return 0;
        out[index] = value;
    }
    return 1;
}

// Copies an element as it is, or puts an empty one in its place: many are required, but may be empty.
OFCondition take(DcmItem &from, DcmItem &to, const DcmTagKey &tag) {
    OFString value;
    if (from.findAndGetOFStringArray(tag, value).bad()) value = "";
    return to.putAndInsertOFStringArray(tag, value);
}

void takeIfThere(DcmItem &from, DcmItem &to, const DcmTagKey &tag) {
    OFString value;
    if (from.findAndGetOFStringArray(tag, value).good() && !value.empty()) to.putAndInsertOFStringArray(tag, value);
}

}  // namespace

extern "C" int tl_dicom_is_file(const char *path) {
    FILE *file = std::fopen(path, "rb");
    if (!file) return 0;
    char start[132];
    const bool is = std::fread(start, 1, sizeof start, file) == sizeof start && std::memcmp(start + 128, "DICM", 4) == 0;
    std::fclose(file);
    return is;
}

extern "C" int tl_dicom_read_image(const char *path, tl_dicom_image *image, char *error, size_t size) try {
    prepare();
    *image = tl_dicom_image{};
    DcmFileFormat file;
    // Long elements, such as the pixels, stay on the disk.
    const OFCondition status = file.loadFile(path, EXS_Unknown, EGL_noChange, 4096);
    if (status.bad()) return refuse(error, size, status);
    DcmDataset &data = *file.getDataset();
    text(data, DCM_SOPClassUID, image->sop_class);
    text(data, DCM_SOPInstanceUID, image->sop_instance);
    text(data, DCM_SeriesInstanceUID, image->series);
    text(data, DCM_StudyInstanceUID, image->study);
    text(data, DCM_FrameOfReferenceUID, image->frame_of_reference);
    text(data, DCM_Modality, image->modality);
    text(data, DCM_PhotometricInterpretation, image->photometric);
    text(data, DCM_SeriesDescription, image->series_description);
    text(data, DCM_RescaleType, image->rescale_type);
    std::snprintf(image->transfer_syntax, TL_DICOM_TEXT, "%s", DcmXfer(data.getOriginalXfer()).getXferName());
    image->rows = number(data, DCM_Rows, 0);
    image->columns = number(data, DCM_Columns, 0);
    image->samples = number(data, DCM_SamplesPerPixel, 1);
    image->bits_stored = number(data, DCM_BitsStored, 0);
    Sint32 count = 0;
    image->frames = data.findAndGetSint32(DCM_NumberOfFrames, count).good() ? int(count) : 1;
    image->instance_number = data.findAndGetSint32(DCM_InstanceNumber, count).good() ? int(count) : 0;
    image->has_position = decimals(data, DCM_ImagePositionPatient, image->position, 3);
    image->has_orientation = decimals(data, DCM_ImageOrientationPatient, image->orientation, 6);
    image->has_spacing = decimals(data, DCM_PixelSpacing, image->spacing, 2);
    image->has_rescale = decimals(data, DCM_RescaleSlope, &image->slope, 1)
        && decimals(data, DCM_RescaleIntercept, &image->intercept, 1);
    image->has_tilt = decimals(data, DCM_GantryDetectorTilt, &image->tilt, 1);
    return 1;
} catch (const std::exception &exception) {
    return refuse(error, size, exception.what());
}

extern "C" int tl_dicom_read_values(const char *path, float *values, size_t count, char *error, size_t size) try {
    prepare();
    DcmFileFormat file;
    OFCondition status = file.loadFile(path);
    if (status.bad()) return refuse(error, size, status);
    DcmDataset &data = *file.getDataset();
    status = data.chooseRepresentation(EXS_LittleEndianExplicit, nullptr);
    if (status.bad()) return refuse(error, size, std::string("its compression cannot be undone: ") + status.text());
    const int allocated = number(data, DCM_BitsAllocated, 16);
    const int stored = number(data, DCM_BitsStored, allocated);
    const int high = number(data, DCM_HighBit, stored - 1);
    const bool isSigned = number(data, DCM_PixelRepresentation, 0) == 1;
    if ((allocated != 8 && allocated != 16) || stored < 1 || stored > allocated || high < stored - 1 || high >= allocated)
        return refuse(error, size, "bits of a pixel that cannot be");
    double slope = 1, intercept = 0;
    decimals(data, DCM_RescaleSlope, &slope, 1);
    decimals(data, DCM_RescaleIntercept, &intercept, 1);
    const Uint16 *words = nullptr;
    const Uint8 *bytes = nullptr;
    unsigned long length = 0;
    if (allocated == 16) status = data.findAndGetUint16Array(DCM_PixelData, words, &length);
    else status = data.findAndGetUint8Array(DCM_PixelData, bytes, &length);
    if (status.bad()) return refuse(error, size, status);
    if (length < count) return refuse(error, size, "less pixel data than rows and columns want");
    const int shift = high + 1 - stored;
    const uint32_t mask = (1u << stored) - 1, sign = 1u << (stored - 1);
    for (size_t index = 0; index < count; index++) {
        const uint32_t code = ((words ? words[index] : bytes[index]) >> shift) & mask;
        const int32_t value = isSigned && (code & sign) ? int32_t(code) - int32_t(mask) - 1 : int32_t(code);
        values[index] = float(slope * value + intercept);
    }
    return 1;
} catch (const std::exception &exception) {
    return refuse(error, size, exception.what());
}

extern "C" int tl_dicom_write_capture(const char *path, const tl_dicom_capture *capture, char *error, size_t size) try {
    prepare();
    DcmFileFormat original;
    OFCondition status = original.loadFile(capture->source, EXS_Unknown, EGL_noChange, 4096);
    if (status.bad()) return refuse(error, size, status);
    DcmDataset &from = *original.getDataset();
    DcmFileFormat file;
    DcmDataset &to = *file.getDataset();

    takeIfThere(from, to, DCM_SpecificCharacterSet);
    // Patient and study: the source's.
    for (const auto &tag : {DCM_PatientName, DCM_PatientID, DCM_PatientBirthDate, DCM_PatientSex, DCM_StudyInstanceUID,
                            DCM_StudyDate, DCM_StudyTime, DCM_ReferringPhysicianName, DCM_StudyID, DCM_AccessionNumber})
        take(from, to, tag);
    for (const auto &tag : {DCM_PatientAge, DCM_PatientSize, DCM_PatientWeight, DCM_StudyDescription, DCM_PatientIdentityRemoved,
                            DCM_DeidentificationMethod})
        takeIfThere(from, to, tag);
    // The series: a new one.
    to.putAndInsertString(DCM_Modality, "OT");
    to.putAndInsertString(DCM_SeriesInstanceUID, capture->series);
    to.putAndInsertString(DCM_SeriesNumber, std::to_string(capture->series_number).c_str());
    to.putAndInsertString(DCM_SeriesDescription, capture->series_description);
    takeIfThere(from, to, DCM_BodyPartExamined);
    take(from, to, DCM_Laterality);
    takeIfThere(from, to, DCM_PatientPosition);
    to.putAndInsertString(DCM_Manufacturer, "TomoLens");
    to.putAndInsertString(DCM_SoftwareVersions, capture->software);
    to.putAndInsertString(DCM_ConversionType, "WSD");
    to.putAndInsertString(DCM_SecondaryCaptureDeviceManufacturer, "TomoLens");
    to.putAndInsertString(DCM_SecondaryCaptureDeviceSoftwareVersions, capture->software);
    // The image, in the source's place. Dates are the source's, so that the same work gives the same bytes.
    to.putAndInsertString(DCM_SOPClassUID, UID_SecondaryCaptureImageStorage);
    to.putAndInsertString(DCM_SOPInstanceUID, capture->sop_instance);
    to.putAndInsertString(DCM_InstanceNumber, std::to_string(capture->instance_number).c_str());
    to.putAndInsertString(DCM_ImageType, "DERIVED\\SECONDARY");
    to.putAndInsertString(DCM_DerivationDescription, capture->derivation);
    to.putAndInsertString(DCM_BurnedInAnnotation, "NO");
    to.putAndInsertString(DCM_LossyImageCompression, "00");
    takeIfThere(from, to, DCM_ContentDate);
    takeIfThere(from, to, DCM_ContentTime);
    take(from, to, DCM_PatientOrientation);
    for (const auto &tag : {DCM_FrameOfReferenceUID, DCM_PositionReferenceIndicator, DCM_ImagePositionPatient,
                            DCM_ImageOrientationPatient, DCM_PixelSpacing, DCM_SliceThickness, DCM_SliceLocation})
        takeIfThere(from, to, tag);
    DcmItem *source = nullptr;
    status = to.findOrCreateSequenceItem(DCM_SourceImageSequence, source, -2);
    if (status.bad() || !source) return refuse(error, size, status);
    OFString value;
    if (from.findAndGetOFString(DCM_SOPClassUID, value).good()) source->putAndInsertOFStringArray(DCM_ReferencedSOPClassUID, value);
    if (from.findAndGetOFString(DCM_SOPInstanceUID, value).good())
        source->putAndInsertOFStringArray(DCM_ReferencedSOPInstanceUID, value);

    to.putAndInsertUint16(DCM_SamplesPerPixel, 3);
    to.putAndInsertString(DCM_PhotometricInterpretation, "RGB");
    to.putAndInsertUint16(DCM_PlanarConfiguration, 0);
    to.putAndInsertUint16(DCM_Rows, Uint16(capture->rows));
    to.putAndInsertUint16(DCM_Columns, Uint16(capture->columns));
    to.putAndInsertUint16(DCM_BitsAllocated, 8);
    to.putAndInsertUint16(DCM_BitsStored, 8);
    to.putAndInsertUint16(DCM_HighBit, 7);
    to.putAndInsertUint16(DCM_PixelRepresentation, 0);
    std::vector<Uint8> pixels(capture->rgb, capture->rgb + size_t(capture->rows) * size_t(capture->columns) * 3);
    if (pixels.size() % 2) pixels.push_back(0);
    status = to.putAndInsertUint8Array(DCM_PixelData, pixels.data(), static_cast<unsigned long>(pixels.size()));
    if (status.bad()) return refuse(error, size, status);
    status = file.saveFile(path, EXS_LittleEndianExplicit, EET_ExplicitLength, EGL_recalcGL, EPD_withoutPadding);
    return status.good() ? 1 : refuse(error, size, status);
} catch (const std::exception &exception) {
    return refuse(error, size, exception.what());
}
