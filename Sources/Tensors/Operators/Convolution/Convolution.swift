import CKernels

/// One convolution with all its extents: what an engine computes and what plans are cached by.
///
/// `input` and `output` name the two sides as a forward convolution sees them; a transposed convolution is the same
/// thing run backward.
struct Convolution: Hashable, Sendable {
    var batch: Int
    var groups: Int
    var inputChannels: Int
    var outputChannels: Int
    var window: SpatialWindow

    /// Which way data flows: to the output, or (gradient, transposed convolution) back to the input.
    enum Direction: Hashable, Sendable { case forward, backwardData }

    var inputShape: [Int] {
        [batch, inputChannels] + (3 - window.rank..<3).map { window.input[$0] }
    }
    var outputShape: [Int] { [batch, outputChannels] + window.outputShape }
    var weightShape: [Int] {
        [outputChannels, inputChannels / groups] + (3 - window.rank..<3).map { window.kernel[$0] }
    }

    /// Multiplications with additions, as the definition counts them.
    var multiplyAdds: Double {
        Double(batch) * Double(outputChannels) * Double(window.outputCount) * Double(inputChannels / groups)
            * Double(window.kernel.product)
    }

    var description: tomo_convolution {
        var c = tomo_convolution()
        c.batch = Int64(batch)
        c.groups = Int64(groups)
        c.in_channels = Int64(inputChannels)
        c.out_channels = Int64(outputChannels)
        c.input = window.input.tuple
        c.output = window.output.tuple
        c.kernel = window.kernel.tuple
        c.stride = window.stride.tuple
        c.dilation = window.dilation.tuple
        c.pad = window.padBegin.tuple
        return c
    }
}
