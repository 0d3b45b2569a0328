import Foundation
import Rendering
import Volumes

/// A 3D Slicer scene (MRML): the scan behind, the heat in front in all three slice views, coloured and thresholded.
struct SlicerScene {
    let scene: ViewerScene
    let folder: URL

    init(_ scene: ViewerScene, folder: URL) {
        self.scene = scene
        self.folder = folder
    }

    func text() throws -> String {
        let lower = scene.scale.isSigned ? -scene.top : 0
        let scan = try volume(
            1, name: scene.name, file: scene.scanFile, colour: "vtkMRMLColorTableNodeGrey", level: scene.window.level,
            width: scene.window.width, threshold: nil)
        // Slicer shows values within one range: on signed maps all but none of them, on others what lies above the threshold.
        let heat = try volume(
            2, name: "\(scene.name) heat", file: scene.heatFile, colour: colourNode, level: (lower + scene.top) / 2,
            width: scene.top - lower,
            threshold: scene.scale.isSigned
                ? nil : (scene.threshold, max(scene.top, Float(ViewerScene.range(scene.heat).upperBound))))
        let views = ["Red", "Green", "Yellow"].map { tag in
            """
              <SliceComposite id="vtkMRMLSliceCompositeNode\(tag)" name="SliceComposite\(tag)" hideFromEditors="true" \
            selectable="true" selected="false" singletonTag="\(tag)" \
            references="backgroundVolume:vtkMRMLScalarVolumeNode1;foregroundVolume:vtkMRMLScalarVolumeNode2;" \
            backgroundVolumeID="vtkMRMLScalarVolumeNode1" foregroundVolumeID="vtkMRMLScalarVolumeNode2" compositing="0" \
            foregroundOpacity="\(scene.style.alpha.opacity)" labelOpacity="1" linkedControl="1" layoutName="\(tag)" \
            doPropagateVolumeSelection="1"></SliceComposite>
            """
        }
        return """
            <?xml version="1.0" encoding="UTF-8"?>
            <MRML version="Slicer4.4.0" userTags="">
              <Selection id="vtkMRMLSelectionNodeSingleton" name="Selection" hideFromEditors="true" selectable="true" \
            selected="false" singletonTag="Singleton" references="ActiveVolume:vtkMRMLScalarVolumeNode1;" \
            activeVolumeID="vtkMRMLScalarVolumeNode1"></Selection>
            \(scan)
            \(heat)
            \(views.joined(separator: "\n"))
            </MRML>

            """
    }

    /// Colour nodes that every Slicer has.
    private var colourNode: String {
        switch scene.colourMap {
        case .viridis: "vtkMRMLColorTableNodeFileViridis.txt"
        case .inferno: "vtkMRMLColorTableNodeFileInferno.txt"
        case .magma: "vtkMRMLColorTableNodeFileMagma.txt"
        case .plasma: "vtkMRMLColorTableNodeFilePlasma.txt"
        case .diverging: "vtkMRMLColorTableNodeFileDivergingBlueRed.txt"
        case .turbo, .jet: "vtkMRMLColorTableNodeRainbow"
        case .hot: "vtkMRMLPETProceduralColorNodePET-Heat"
        case .gray: "vtkMRMLColorTableNodeGrey"
        }
    }

    private func volume(
        _ number: Int, name: String, file: URL, colour: String, level: Float, width: Float, threshold: (Float, Float)?
    ) throws -> String {
        let path = try XML.attribute(SlicerScene.encoded(RelativePath.of(file, from: folder)))
        return """
              <VolumeArchetypeStorage id="vtkMRMLVolumeArchetypeStorageNode\(number)" name="Storage\(number)" \
            hideFromEditors="true" selectable="true" selected="false" fileName="\(path)" useCompression="1" readState="0" \
            writeState="0" centerImage="0" singleFile="1" UseOrientationFromFile="1"></VolumeArchetypeStorage>
              <VolumeDisplay id="vtkMRMLScalarVolumeDisplayNode\(number)" name="Display\(number)" hideFromEditors="true" \
            selectable="true" selected="false" visibility="true" colorNodeID="\(colour)" window="\(width)" level="\(level)" \
            lowerThreshold="\(threshold?.0 ?? 0)" upperThreshold="\(threshold?.1 ?? 0)" interpolate="1" autoWindowLevel="0" \
            applyThreshold="\(threshold == nil ? 0 : 1)" autoThreshold="0"></VolumeDisplay>
              <Volume id="vtkMRMLScalarVolumeNode\(number)" name="\(try XML.attribute(PageText.visible(name)))" \
            hideFromEditors="false" selectable="true" selected="false" \
            references="display:vtkMRMLScalarVolumeDisplayNode\(number);storage:vtkMRMLVolumeArchetypeStorageNode\(number);" \
            storageNodeRef="vtkMRMLVolumeArchetypeStorageNode\(number)" \
            displayNodeRef="vtkMRMLScalarVolumeDisplayNode\(number)" labelMap="0"></Volume>
            """
    }

    /// As Slicer's reader undoes it: percent signs first, then the characters that it escapes itself.
    static func encoded(_ path: String) -> String {
        [("%", "%25"), (" ", "%20"), ("'", "%27"), (">", "%3E"), ("<", "%3C"), ("\"", "%22")].reduce(path) {
            $0.replacingOccurrences(of: $1.0, with: $1.1)
        }
    }
}
