// swift-tools-version: 6.0
import PackageDescription

// DICOM needs DCMTK (libdcmtk-dev), and nothing else does: it is built in where TOMOLENS_DICOM=1 asks for it.
let hasDICOM = Context.environment["TOMOLENS_DICOM"] == "1"

// Arrows point downward only: a target depends on targets below it in this list, never above.
let package = Package(
    name: "TomoLens",
    products: [
        .executable(name: "tomolens", targets: ["tomolens"]),
        .executable(name: "tomolens-bench", targets: ["Benchmarks"]),
    ],
    targets: [
        .executableTarget(name: "tomolens", dependencies: ["Commands", "Workers"]),
        .target(
            name: "Commands",
            dependencies: [
                "Arguments", "Pipelines", "Reports", "Inspections", "Explanations", "Rendering", "Preparations",
                "Networks", "Tensors", "Volumes", "Workers", "Failures",
            ] + (hasDICOM ? ["DICOM"] : []),
            swiftSettings: hasDICOM ? [.define("DICOM")] : []),
        .executableTarget(name: "Benchmarks", dependencies: ["Networks", "Tensors", "Volumes", "Workers", "Failures"]),
        .target(name: "Arguments", dependencies: ["Failures"]),
        .target(
            name: "Pipelines",
            dependencies: [
                "Reports", "Explanations", "Rendering", "Preparations", "Networks", "Tensors", "Volumes", "Workers",
                "Failures", "CNettle", "CVoxels",
            ]),
        .target(
            name: "Reports",
            dependencies: ["Explanations", "Rendering", "Volumes", "Workers", "Failures", "CZlib", "CVoxels"],
            // The review page's files, compiled in: the program stays one file.
            resources: [
                .embedInCode("Page/base.js"),
                .embedInCode("Page/common.css"),
                .embedInCode("Page/contours.js"),
                .embedInCode("Page/decode.js"),
                .embedInCode("Page/folder.css"),
                .embedInCode("Page/folder.html"),
                .embedInCode("Page/folder.js"),
                .embedInCode("Page/geometry.js"),
                .embedInCode("Page/heat.js"),
                .embedInCode("Page/niivue.html"),
                .embedInCode("Page/niivue.js"),
                .embedInCode("Page/review.css"),
                .embedInCode("Page/review.html"),
                .embedInCode("Page/review.js"),
                .embedInCode("Page/shaders.js"),
                .embedInCode("Page/space.js"),
                .embedInCode("Page/view.js"),
                .embedInCode("Page/words.js"),
            ]),
        .target(
            name: "Inspections",
            dependencies: ["Explanations", "Preparations", "Networks", "Tensors", "Volumes", "Workers", "Failures"]),
        .target(
            name: "Explanations",
            dependencies: ["Preparations", "Networks", "Tensors", "Volumes", "Workers", "Failures"]),
        .target(
            name: "Rendering",
            dependencies: ["Volumes", "Workers", "Failures", "CPNG", "CJPEG", "CDeflate", "CVoxels"]),
        .target(name: "Networks", dependencies: ["Tensors", "Workers", "Failures"]),
        .target(name: "Preparations", dependencies: ["Volumes", "Tensors", "Workers", "Failures"]),
        .target(name: "Tensors", dependencies: ["Workers", "Failures", "CKernels", "COneDNN", "COpenBLAS"]),
        .target(
            name: "Volumes",
            dependencies: ["Workers", "Failures", "CNIfTI", "CZlib", "CDeflate", "CISAL", "CThreads", "CVoxels"]),
        .target(name: "Workers", dependencies: ["Failures", "CThreads"]),
        .target(name: "Failures"),

        // The C boundary, and nothing else.
        .target(name: "CKernels"),
        .target(name: "CThreads"),
        .target(name: "CVoxels"),
        .target(name: "COneDNN", linkerSettings: [.linkedLibrary("dnnl")]),
        .target(name: "COpenBLAS", linkerSettings: [.linkedLibrary("openblas")]),
        .target(
            name: "CNIfTI", linkerSettings: [.linkedLibrary("nifti2"), .linkedLibrary("znz"), .linkedLibrary("z")]),
        .target(name: "CPNG", linkerSettings: [.linkedLibrary("png")]),
        .target(name: "CJPEG", linkerSettings: [.linkedLibrary("turbojpeg")]),
        .target(name: "CDeflate", linkerSettings: [.linkedLibrary("deflate")]),
        .target(name: "CISAL", linkerSettings: [.linkedLibrary("isal")]),
        .target(name: "CNettle", linkerSettings: [.linkedLibrary("nettle")]),
        .target(name: "CZlib", linkerSettings: [.linkedLibrary("z")]),

        .target(name: "TestSupport", dependencies: ["Failures", "Tensors", "Volumes"], path: "Tests/TestSupport"),
        .testTarget(name: "FailuresTests", dependencies: ["Failures", "TestSupport"]),
        .testTarget(name: "WorkersTests", dependencies: ["Workers", "TestSupport"]),
        .testTarget(
            name: "TensorsTests", dependencies: ["Tensors", "Workers", "CKernels", "COpenBLAS", "TestSupport"]),
        .testTarget(name: "NetworksTests", dependencies: ["Networks", "Tensors", "TestSupport"]),
        .testTarget(
            name: "VolumesTests",
            dependencies: ["Volumes", "Workers", "Failures", "CNIfTI", "CZlib", "CVoxels", "TestSupport"]),
        .testTarget(
            name: "PreparationsTests", dependencies: ["Preparations", "Volumes", "Tensors", "Failures", "TestSupport"]),
        .testTarget(
            name: "RenderingTests", dependencies: ["Rendering", "Volumes", "Workers", "Failures", "TestSupport"]),
        .testTarget(
            name: "ExplanationsTests",
            dependencies: ["Explanations", "Preparations", "Networks", "Tensors", "Volumes", "TestSupport"]),
        .testTarget(
            name: "InspectionsTests",
            dependencies: [
                "Inspections", "Explanations", "Preparations", "Networks", "Tensors", "Volumes", "TestSupport",
            ]),
        .testTarget(name: "ArgumentsTests", dependencies: ["Arguments", "TestSupport"]),
        .testTarget(name: "PipelinesTests", dependencies: ["Pipelines", "TestSupport"]),
        .testTarget(
            name: "ReportsTests",
            dependencies: ["Reports", "Rendering", "Volumes", "Failures", "CZlib", "TestSupport"]),
        .testTarget(name: "CommandsTests", dependencies: ["Commands", "Arguments", "TestSupport"]),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "Commands", "Pipelines", "Explanations", "Preparations", "Networks", "Tensors", "Volumes", "Rendering",
                "TestSupport",
            ]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)

if hasDICOM {
    package.targets += [
        .target(name: "DICOM", dependencies: ["Rendering", "Volumes", "Workers", "Failures", "CDICOM"]),
        .target(
            name: "CDICOM",
            linkerSettings: ["dcmpmap", "dcmfg", "dcmiod", "dcmjpeg", "dcmjpls", "dcmdata", "oflog", "ofstd"].map {
                .linkedLibrary($0)
            }),
    ]
}
