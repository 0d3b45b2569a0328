#include "CDICOM.h"

#include <cstdio>
#include <exception>
#include <memory>
#include <string>

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmfg/fgframeanatomy.h>
#include <dcmtk/dcmfg/fgfracon.h>
#include <dcmtk/dcmfg/fgparametricmapframetype.h>
#include <dcmtk/dcmfg/fgpixeltransform.h>
#include <dcmtk/dcmfg/fgpixmsr.h>
#include <dcmtk/dcmfg/fgplanor.h>
#include <dcmtk/dcmfg/fgplanpo.h>
#include <dcmtk/dcmfg/fgrealworldvaluemapping.h>
#include <dcmtk/dcmiod/modfloatingpointimagepixel.h>
#include <dcmtk/dcmpmap/dpmparametricmapiod.h>
#include <dcmtk/oflog/oflog.h>

namespace {

struct Refusal {
    std::string text;
};

void check(const OFCondition &condition) {
    if (condition.bad()) throw Refusal{condition.text()};
}

// A decimal string holds 16 characters; ten digits are more than a place in the patient has.
std::string decimal(double value) {
    char text[32];
    for (int digits = 10; digits > 0; digits--) {
        std::snprintf(text, sizeof text, "%.*g", digits, value);
        if (std::string(text).size() <= 16) break;
    }
    return text;
}

void write(const char *path, const tl_dicom_map *given) {
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    DcmFileFormat original;
    check(original.loadFile(given->source, EXS_Unknown, EGL_noChange, 4096));
    DcmDataset &from = *original.getDataset();
    ContentIdentificationMacro content("1", "HEAT", given->description, "");
    IODEnhGeneralEquipmentModule::EquipmentInfo equipment("TomoLens", "TomoLens", "none", given->software);
    auto made = DPMParametricMapIOD::create<IODFloatingPointImagePixelModule>(
        "OT", std::to_string(given->series_number).c_str(), "1", Uint16(given->rows), Uint16(given->columns), equipment,
        content, "VOLUME", "NONE", DPMTypes::CQ_RESEARCH);
    if (OFCondition *condition = OFget<OFCondition>(&made)) throw Refusal{condition->text()};
    DPMParametricMapIOD &map = *OFget<DPMParametricMapIOD>(&made);
    // Patient, study and frame of reference: the source's. The series is a new one.
    check(map.importHierarchy(from, OFTrue, OFTrue, OFTrue, OFFalse));

    FGPixelMeasures measures;
    check(measures.setPixelSpacing((decimal(given->spacing[0]) + "\\" + decimal(given->spacing[1])).c_str()));
    check(measures.setSliceThickness(decimal(given->step).c_str()));
    check(measures.setSpacingBetweenSlices(decimal(given->step).c_str()));
    check(map.addForAllFrames(measures));
    std::string o[6];
    for (int index = 0; index < 6; index++) o[index] = decimal(given->orientation[index]);
    std::unique_ptr<FGPlaneOrientationPatient> orientation(FGPlaneOrientationPatient::createMinimal(
        o[0].c_str(), o[1].c_str(), o[2].c_str(), o[3].c_str(), o[4].c_str(), o[5].c_str()));
    if (!orientation) throw Refusal{"an orientation that cannot be written"};
    check(map.addForAllFrames(*orientation));
    FGFrameAnatomy anatomy;
    check(anatomy.setLaterality(FGFrameAnatomy::LATERALITY_UNPAIRED));
    check(anatomy.getAnatomy().getAnatomicRegion().set("38266002", "SCT", "Entire body"));
    check(map.addForAllFrames(anatomy));
    FGPixelValueTransformation identity;
    identity.setUseAsIdentityPixelValueTransformation();
    check(map.addForAllFrames(identity));
    FGParametricMapFrameType type;
    check(type.setFrameType("DERIVED\\PRIMARY\\VOLUME\\NONE"));
    check(map.addForAllFrames(type));
    FGRealWorldValueMapping mapping;
    std::unique_ptr<FGRealWorldValueMapping::RWVMItem> item(new FGRealWorldValueMapping::RWVMItem());
    check(item->setRealWorldValueSlope(1));
    check(item->setRealWorldValueIntercept(0));
    check(item->setDoubleFloatRealWorldValueFirstValueMapped(given->lowest));
    check(item->setDoubleFloatRealWorldValueLastValueMapped(given->highest));
    check(item->getMeasurementUnitsCode().set("1", "UCUM", "no units"));
    check(item->setLUTExplanation("raw attribution, signed"));
    check(item->setLUTLabel("HEAT"));
    mapping.getRealWorldValueMapping().push_back(item.release());
    check(map.addForAllFrames(mapping));
    check(map.getIODMultiframeDimensionModule().addDimensionIndex(
        DCM_ImagePositionPatient, given->dimension, DCM_PlanePositionSequence, "place of the slice"));

    auto frames = map.getFrames();
    auto *floats = OFget<DPMParametricMapIOD::Frames<Float32>>(&frames);
    if (!floats) throw Refusal{"no frames of floating-point numbers"};
    const size_t plane = size_t(given->rows) * size_t(given->columns);
    for (int index = 0; index < given->frames; index++) {
        const double *place = given->positions + 3 * index;
        std::unique_ptr<FGPlanePosPatient> position(FGPlanePosPatient::createMinimal(
            decimal(place[0]).c_str(), decimal(place[1]).c_str(), decimal(place[2]).c_str()));
        if (!position) throw Refusal{"a position that cannot be written"};
        FGFrameContent frame;
        check(frame.setStackID("1"));
        check(frame.setInStackPositionNumber(Uint32(index + 1)));
        check(frame.setDimensionIndexValues(Uint32(index + 1), 0));
        OFVector<FGBase *> groups;
        groups.push_back(position.get());
        groups.push_back(&frame);
        // The values are only read; the library's parameter is not const.
        check(floats->addFrame(const_cast<Float32 *>(given->values) + plane * size_t(index), plane, groups));
    }

    DcmFileFormat file;
    DcmDataset &to = *file.getDataset();
    check(map.write(to));
    // DCMTK 3.7 makes this element four times as long as the values are, and leaves what the memory held in the rest.
    check(to.putAndInsertFloat32Array(
        DCM_FloatPixelData, given->values, static_cast<unsigned long>(plane * size_t(given->frames))));
    // Identifiers and times follow from the content, so that the same work gives the same bytes.
    check(to.putAndInsertString(DCM_SOPInstanceUID, given->sop_instance));
    check(to.putAndInsertString(DCM_SeriesInstanceUID, given->series));
    check(to.putAndInsertString(DCM_SeriesDescription, given->series_description));
    check(to.putAndInsertString(DCM_Manufacturer, "TomoLens"));
    OFString date, time;
    from.findAndGetOFString(DCM_StudyDate, date);
    from.findAndGetOFString(DCM_StudyTime, time);
    for (const auto &tag : {DCM_ContentDate, DCM_SeriesDate, DCM_InstanceCreationDate})
        if (to.tagExists(tag)) check(to.putAndInsertOFStringArray(tag, date.empty() ? "19000101" : date));
    for (const auto &tag : {DCM_ContentTime, DCM_SeriesTime, DCM_InstanceCreationTime})
        if (to.tagExists(tag)) check(to.putAndInsertOFStringArray(tag, time.empty() ? "000000" : time));
    check(file.saveFile(path, EXS_LittleEndianExplicit, EET_ExplicitLength, EGL_recalcGL, EPD_withoutPadding));
}

}  // namespace

extern "C" int tl_dicom_write_map(const char *path, const tl_dicom_map *map, char *error, size_t size) try {
    write(path, map);
    return 1;
} catch (const Refusal &refusal) {
    if (size) std::snprintf(error, size, "%s", refusal.text.c_str());
    return 0;
} catch (const std::exception &exception) {
    if (size) std::snprintf(error, size, "%s", exception.what());
    return 0;
}
