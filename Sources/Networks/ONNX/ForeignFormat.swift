import Foundation

/// Files that people mistake for ONNX models, each with the way from it to one.
enum ForeignFormat: CaseIterable {
    case torchArchive, torchPickle, keras, tensorFlowSavedModel, tensorFlowGraph, tensorFlowLite, safetensors, openVINO
    case onnxRuntime, tensorRT, gitLFS, nifti, gzip, zip, image, numpy, text

    var name: String {
        switch self {
        case .torchArchive: "a PyTorch archive (.pt, .pth, .ckpt)"
        case .torchPickle: "a Python pickle, as old PyTorch checkpoints are"
        case .keras: "a Keras model in HDF5 form"
        case .tensorFlowSavedModel: "a TensorFlow SavedModel"
        case .tensorFlowGraph: "a frozen TensorFlow graph"
        case .tensorFlowLite: "a TensorFlow Lite model"
        case .safetensors: "a safetensors file, which holds weights and no graph"
        case .openVINO: "an XML file, as OpenVINO models are"
        case .onnxRuntime: "a model in onnxruntime's own form (.ort)"
        case .tensorRT: "a TensorRT engine"
        case .gitLFS: "a Git LFS pointer: the file itself has not been fetched"
        case .nifti: "a NIfTI scan"
        case .gzip: "a gzip file"
        case .zip: "a zip archive"
        case .image: "an image"
        case .numpy: "a NumPy array"
        case .text: "text"
        }
    }

    var remedy: String {
        switch self {
        case .torchArchive, .torchPickle, .safetensors:
            "Load it in Python and export it: torch.onnx.export(model.eval(), (example,), \"model.onnx\", "
                + "opset_version=18, external_data=False)"
        case .keras:
            "Convert it: python -c \"import keras; keras.saving.load_model('model.h5').export('model.onnx', format='onnx')\""
        case .tensorFlowSavedModel:
            "Convert it: python -m tf2onnx.convert --saved-model FOLDER --opset 18 --output model.onnx"
        case .tensorFlowGraph:
            "Convert it: python -m tf2onnx.convert --graphdef FILE --inputs NAME:0 --outputs NAME:0 --output model.onnx"
        case .tensorFlowLite:
            "Convert it: python -m tf2onnx.convert --tflite FILE --opset 18 --output model.onnx"
        case .openVINO, .onnxRuntime, .tensorRT: "Use the ONNX file from which it was made"
        case .gitLFS: "Fetch it: git lfs pull"
        case .nifti: "Scan and model may have changed places on the command line"
        case .gzip, .zip: "Unpack it first"
        case .image, .numpy, .text: ""
        }
    }

    /// Recognises a file by its first bytes. ONNX itself has no magic number: nil does not mean that it is ONNX.
    static func recognise(_ bytes: UnsafeRawBufferPointer) -> ForeignFormat? {
        func starts(_ magic: [UInt8], at offset: Int = 0) -> Bool {
            bytes.count >= offset + magic.count && magic.indices.allSatisfy { bytes[offset + $0] == magic[$0] }
        }
        func starts(_ text: String, at offset: Int = 0) -> Bool { starts(Array(text.utf8), at: offset) }
        func head(_ count: Int, holds text: String) -> Bool {
            let window = UnsafeRawBufferPointer(rebasing: bytes[..<min(count, bytes.count)])
            return Data(window).range(of: Data(text.utf8)) != nil
        }
        if starts("PK\u{3}\u{4}") {
            return head(4096, holds: "data.pkl") || head(4096, holds: "archive_format")
                || head(4096, holds: "constants.pkl")
                ? .torchArchive : head(4096, holds: "config.json") ? .keras : .zip
        }
        if bytes.count > 2, bytes[0] == 0x80, (2...5).contains(bytes[1]) { return .torchPickle }
        if starts([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]) { return .keras }
        if starts("TFL3", at: 4) { return .tensorFlowLite }
        if starts("ORTM", at: 4) { return .onnxRuntime }
        if starts("ptrt") || starts("trtp") { return .tensorRT }
        if starts("{\"", at: 8) && bytes.count > 16 && bytes[4..<8].allSatisfy({ $0 == 0 }) { return .safetensors }
        if starts("version https://git-lfs") { return .gitLFS }
        if starts("n+1\0", at: 344) || starts("ni1\0", at: 344) || starts("n+2\0", at: 4) { return .nifti }
        if starts([0x1f, 0x8b]) { return .gzip }
        if starts([0x89, 0x50, 0x4e, 0x47]) || starts([0xff, 0xd8, 0xff]) { return .image }
        if starts([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]) { return .numpy }
        if starts("<?xml") || starts("<net") { return .openVINO }
        if starts([0x08, 0x01, 0x12]), head(1 << 16, holds: "saved_model") || head(1 << 16, holds: "tensorflow") {
            return .tensorFlowSavedModel
        }
        if starts([0x0a]), head(4096, holds: "Placeholder") { return .tensorFlowGraph }
        let sample = bytes.prefix(512)
        if sample.count > 8, sample.allSatisfy({ (0x20..<0x7f).contains($0) || [0x09, 0x0a, 0x0d].contains($0) }) {
            return .text
        }
        return nil
    }
}
