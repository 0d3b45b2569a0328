import Explanations
import Rendering
import Tensors
import Volumes

/// Every key of a pipeline file. `docs/reference/pipelines.md` is made from this list.
public enum PipelineKeys {
    /// In the order of the reference page.
    public static let all = [root, input, network, layout, target, rendering, slices, exports]

    static let root = KeyGroup(
        "", "The file is one object.",
        [
            KeyDescription("version", "1", "The version of the format. Required."),
            KeyDescription("name", "text", standard: "the file's name", "What reports call the pipeline."),
            KeyDescription("description", "text", "One sentence for whoever opens the file next."),
            KeyDescription("input", "object", "Which scans are taken."),
            KeyDescription("network", "object", "Which network, and how its answer is read."),
            KeyDescription("layout", "object", "In which order and direction the network wants the voxels."),
            KeyDescription(
                "preparation", "list of steps",
                standard: "orientation, HU window −1000…400 to 0…1, and the network's fixed size if it has one",
                "What happens to a scan before the network sees it, in order; see Preparation steps."),
            KeyDescription(
                "targets", "list of targets", standard: "[\"argmax\"]",
                "Which answers are explained: \"argmax\", \"every\", a class index, a class name, \"region\" (segmentation: "
                    + "the class that wins most voxels), or an object; see targets."),
            KeyDescription(
                "methods", "list of names or {method: name, option: value, …}",
                standard: "the method that is right for the network's head",
                "How they are explained; `tomolens methods` lists names and options."),
            KeyDescription(
                "taps", "list of names", standard: "the network's last layer with spatial extent",
                "At which layers; `tomolens inspect MODEL` lists names and aliases. Several are fused into one map."),
            KeyDescription(
                "explain", "\"logit\" or \"probability\"", standard: "\"logit\"",
                "Whether the value before or after the network's final softmax or sigmoid is explained."),
            KeyDescription(
                "accuracy",
                "one of \(ConvolutionEngine.Accuracy.allCases.map(\.rawValue).joined(separator: ", "))",
                standard: "\"balanced\"",
                "How far convolutions may trade rounding for time: the fewest multiplications (fast); the same, except forward "
                    + "where a gradient passes on through what they decide (balanced); or by their definition (precise)."
            ),
            KeyDescription("rendering", "object", "How maps are drawn."),
            KeyDescription("exports", "object", "Which files are written."),
        ])

    static let input = KeyGroup(
        "input", "Which scans are taken from the folder given with --input.",
        [
            KeyDescription(
                "pattern", "text or list of texts", standard: "[\"*.nii\", \"*.nii.gz\", \"*.hdr\"]",
                "File names to take. `*` and `?` stand for any characters and any one, `[ab]` for one of a set. A pattern "
                    + "without a slash fits names in any subfolder; one with a slash fits the path from the input folder, "
                    + "where `**` crosses folders."),
            KeyDescription(
                "exclude", "text or list of texts", standard: "none", "Files to leave out, by the same patterns."),
            KeyDescription(
                "volume", "a whole number of at least 0", standard: "4D files are refused",
                "Which volume of a 4D file is explained."),
            KeyDescription(
                "labels", "text with {stem} in it", standard: "none",
                "Name of a label map beside each scan, such as \"{stem}_mask.nii.gz\": the report says whether the heat's "
                    + "peak falls in it, and mask targets use it. {stem} is the scan's name without its extension. The label "
                    + "maps themselves are not taken as scans."),
            KeyDescription(
                "labelValues", "list of whole numbers", standard: "all above 0", "Which values of the label map count."),
            KeyDescription(
                "references", "text", standard: "none",
                "Folder of scans, or one scan, by a path relative to the pipeline file: what `expected-gradients` with "
                    + "references=scans compares with. They are prepared as the explained scans are, and held in memory: some "
                    + "dozens are enough."),
        ])

    static let network = KeyGroup(
        "network", "Which network, and how its answer is read.",
        [
            KeyDescription(
                "file", "text",
                "The ONNX file, by a path relative to the pipeline file. Required unless --model is given."),
            KeyDescription(
                "input", "text", standard: "the first input without a value", "Name of the input that takes the scan."),
            KeyDescription("output", "text", standard: "the first output", "Name of the output that is explained."),
            KeyDescription(
                "inputs", "object: {name: value, …}", standard: "none",
                "Values of the network's further inputs: a number, a list of numbers, or the name of a file (.pb, .nii, .nii.gz)."
            ),
            KeyDescription(
                "classes", "list of texts", standard: "classes are numbered", "Names of the classes, in order."),
            KeyDescription(
                "activation", "one of \(Answer.Activation.allCases.map(\.rawValue).joined(separator: ", ")), auto",
                standard: "\"auto\": what the graph ends with",
                "How logits become probabilities."),
        ])

    static let layout = KeyGroup(
        "layout", "In which order and direction the network wants the voxels.",
        [
            KeyDescription(
                "axes", "one of xyz, xzy, yxz, yzx, zxy, zyx, xy, yx", standard: "\"xyz\"",
                "The network's spatial axes, slowest first. MONAI networks want \"xyz\", ITK-style ones \"zyx\"."),
            KeyDescription(
                "orientation", "three letters", standard: "\"RAS\"",
                "Toward which side x, y and z grow. MONAI networks want \"RAS\", ITK-style ones \"LPS\"."),
            KeyDescription(
                "channelsLast", "true or false", standard: "false",
                "Whether channels are the last axis, as in TensorFlow exports."),
            KeyDescription(
                "channels", "a whole number of at least 1", standard: "what the network's input has",
                "Into how many channels the one of a scan is repeated."),
        ])

    static let target = KeyGroup(
        "targets[…]", "A target written as an object has exactly one of these keys.",
        [
            KeyDescription("class", "a class index or name", "The logit of one class, label or regression value."),
            KeyDescription(
                "region", "a class index or name, or \"largest\"",
                "Segmentation networks: the summed logits of a class over the voxels where it wins."),
            KeyDescription(
                "mask", "a class index or name",
                "Segmentation networks: the summed logits of a class over the label map of `input.labels`."),
        ])

    static let rendering = KeyGroup(
        "rendering", "How maps are drawn. The values in heatmap volumes do not depend on it.",
        [
            KeyDescription(
                "colormap", "one of \(RenderingSettings.colormaps.joined(separator: ", "))",
                standard: "\"inferno\"; \"diverging\" for signed maps", "Colours of the heat."),
            KeyDescription(
                "window", "one of \(RenderingSettings.windows.joined(separator: ", ")), or [low, high]",
                standard: "\"auto\": lung for chest CT, the scan's own range otherwise",
                "HU window of the grey CT under the heat."),
            KeyDescription(
                "alpha", "a number from 0 to 1", standard: "\(OverlayStyle.Alpha().opacity)",
                "Opacity of the hottest places; it falls with the heat."),
            KeyDescription(
                "threshold", "a number from 0 to 1", standard: "\(OverlayStyle.Alpha().threshold)",
                "Heat below this part of the scale is not drawn."
            ),
            KeyDescription(
                "contours", "list of numbers between 0 and 1", standard: "none",
                "Draw lines at these fractions of the scale."),
            KeyDescription(
                "interpolation",
                "one of \(Resampler.Interpolation.allCases.map(\.rawValue).joined(separator: ", "))",
                standard: "\"linear\"", "Between voxels: smooth, or the layer's cells as they are (nearest)."),
            KeyDescription(
                "sideBySide", "true or false", standard: "false", "Draw the scan without heat beside the overlay."),
            KeyDescription(
                "planes", "list of axial, coronal, sagittal", standard: "all three",
                "Through which planes slices are drawn."),
            KeyDescription(
                "slices", "\"all\" or {hottest: number}", standard: "{hottest: 3}",
                "How many slices of each plane: those with the most heat above the threshold."),
            KeyDescription(
                "scale", "\"own\", \"folder\" or a number above 0", standard: "\"own\"",
                "From which values the colours run: each map's own range, one range for the whole folder (method by method), or "
                    + "0 to the given value."),
            KeyDescription(
                "outliers", "a number from 0 to 0.5", standard: "0.02 for gradient methods, 0 for others",
                "A map's own scale ends where this part of its sum lies beyond; its few strongest voxels share the last colour."
            ),
            KeyDescription(
                "signed", "true or false", standard: "false",
                "Draw negative values too, in a diverging colour map; otherwise they are cut off at 0."),
            KeyDescription(
                "montage", "a whole number from 0 to 400", standard: "12",
                "Slices in the montage of the hottest axial slices; 0: none."),
            KeyDescription(
                "convention", "one of radiological, neurological", standard: "\"radiological\"",
                "Whether the patient's left is drawn on the right (radiological) or on the left."),
        ])

    static let slices = KeyGroup(
        "rendering.slices", "",
        [KeyDescription("hottest", "a whole number of at least 1", "How many of the hottest slices of each plane.")])

    static let exports = KeyGroup(
        "exports", "Which files are written. Results as JSON and CSV are always written.",
        [
            KeyDescription(
                "heatmaps", "list of scan, tap", standard: "[\"scan\", \"tap\"]",
                "Grids on which heatmap volumes are written: the scan's own voxels, and the layer's with its exact affine."
            ),
            KeyDescription(
                "datatype", "one of float32, int16, uint8", standard: "\"float32\"",
                "Numbers of the heatmap volumes; the integer forms are compact and carry a slope."),
            KeyDescription("overlays", "true or false", standard: "true", "Draw overlay PNGs."),
            KeyDescription(
                "page", "true or false", standard: "true",
                "Write a page (`index.html`) to review each scan with in a browser, and one for the folder."),
            KeyDescription(
                "viewers", "list of \(ExportSettings.viewerNames.joined(separator: ", "))", standard: "none",
                "Viewers for which a scene of each map is written: the scan with the heat over it."),
        ])
}
