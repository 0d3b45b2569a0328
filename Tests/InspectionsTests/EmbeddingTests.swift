import Explanations
import Foundation
import Networks
import Preparations
import TestSupport
import Tensors
import Testing
import Volumes

@testable import Inspections

/// Embeddings and similarities against scikit-learn, scikit-image and numpy (Tests/Reference/inspections.py).
@Suite struct EmbeddingTests {
    let reference = try! SafeTensors(contentsOf: Fixtures.reference("inspections/similarities.safetensors"))

    var space: EmbeddingSpace {
        let vectors = reference.float("vectors")!
        let (count, size) = (vectors.shape[0], vectors.shape[1])
        let labels = reference.integer("labels")!.values
        return EmbeddingSpace(
            names: (0..<count).map { "scan\($0)" },
            vectors: (0..<count).map { row in (0..<size).map { Double(vectors[row, $0]) } },
            labels: labels.map { "class \($0)" })
    }

    @Test func figuresEqualScikitLearns() {
        let space = space
        let cosines = reference.float("cosines")!
        #expect(relativeError(space.cosines.flatMap { $0.map(Float.init) }, cosines.values) < 1e-5)
        let neighbours = space.neighbours(5).flatMap { $0.map { Int64($0.index) } }
        #expect(neighbours == reference.integer("neighbours")!.values)
        let silhouettes = space.silhouettes.map { Float($0!) }
        #expect(relativeError(silhouettes, reference.float("silhouettes")!.values) < 1e-5)
        #expect(abs(Float(space.alignment!) - reference.float("alignment")!.values[0]) < 1e-5)
        #expect(abs(Float(space.uniformity!) - reference.float("uniformity")!.values[0]) < 1e-5)
        let labels = reference.integer("labels")!.values
        for (own, found) in space.hardest.enumerated() {
            let others = (0..<48).filter { labels[$0] != labels[own] }
            let same = (0..<48).filter { labels[$0] == labels[own] && $0 != own }
            #expect(abs(Float(found.negative!.cosine) - others.map { cosines[own, $0] }.max()!) < 1e-5)
            #expect(abs(Float(found.positive!.cosine) - same.map { cosines[own, $0] }.min()!) < 1e-5)
        }
    }

    @Test func principalComponentsEqualScikitLearns() {
        let (coordinates, shares) = space.principalComponents(2)
        let expected = reference.float("pca")!
        for component in 0..<2 {
            let own = coordinates.map { Float($0[component]) }
            let other = (0..<48).map { expected[$0, component] }
            #expect(min(relativeError(own, other), relativeError(own, other.map { -$0 })) < 1e-4)
        }
        #expect(relativeError(shares.map(Float.init), reference.float("pcaShares")!.values) < 1e-5)
    }

    @Test func neighbourhoodsEqualScikitLearns() {
        let distances = space.squaredDistances
        let joint = NeighbourEmbedding.joint(distances, perplexity: 10)
        // Theirs is found to 1e-5 in entropy, in single precision.
        #expect(relativeError(joint.flatMap { $0.map(Float.init) }, reference.float("joint")!.values) < 1e-3)
        let onSphere = EmbeddingSpace(names: space.names, vectors: space.unit, labels: space.labels)
        let start = onSphere.principalComponents(2).coordinates
        let map = NeighbourEmbedding(distances, start: start, perplexity: 10)
        // As good a map as theirs, within the luck of where each ends.
        let theirs = Double(reference.float("tsneDivergence")!.values[0])
        #expect(map.divergence < theirs * 1.1, "\(map.divergence), theirs \(theirs)")
        #expect(NeighbourEmbedding(distances, start: start, perplexity: 10).coordinates == map.coordinates)
        // The nearest in the map has the same label for nearly all.
        let labels = reference.integer("labels")!.values
        let kept = (0..<48).filter { own in
            let nearest = (0..<48).filter { $0 != own }.min { a, b in
                func distance(_ other: Int) -> Double {
                    VectorMath.squaredDistance(map.coordinates[own], map.coordinates[other])
                }
                return distance(a) < distance(b)
            }!
            return labels[nearest] == labels[own]
        }.count
        #expect(kept >= 36)
    }

    @Test func mapsAreComparedAsScikitImageDoes() {
        let a = reference.float("mapA")!
        let b = reference.float("mapB")!
        let range = Double(a.values.max()! - a.values.min()!)
        func check(_ x: [Float], _ y: [Float], _ shape: [Int], _ key: String) {
            let found = Similarity.structural(x, y, shape: shape, range: range)
            #expect(abs(found - Double(reference.float(key)!.values[0])) < 1e-5, "\(key)")
        }
        check(a.values, b.values, a.shape, "ssim3d")
        check(Array(a.values.prefix(90)), Array(b.values.prefix(90)), [9, 10], "ssim2d")
        // A map of six slices leaves room for a window of five.
        check(Array(a.values.prefix(540)), Array(b.values.prefix(540)), [6, 9, 10], "ssim5")
        #expect(abs(Similarity.topOverlap(a.values, b.values) - Double(reference.float("overlap")!.values[0])) < 1e-6)
        #expect(Similarity.topOverlap(a.values, a.values) == 1)
        #expect(Similarity.structural([1, 2], [1, 2], shape: [2], range: 1) == 1)
    }

    @Test func kernelAlignmentEqualsNumpys() {
        let (x, y) = (reference.float("cka|x")!, reference.float("cka|y")!)
        let found = Similarity.alignment(x.values, y.values, channels: 6)!
        #expect(abs(found - Double(reference.float("cka")!.values[0])) < 1e-5)
        // Blind to a rotation of the channels and to a scale.
        let turned = Array(x.values.suffix(250)) + Array(x.values.prefix(50))
        #expect(abs(Similarity.alignment(x.values, turned.map { 3 * $0 }, channels: 6)! - 1) < 1e-6)
        #expect(Similarity.alignment([1, 1, 1, 1], [1, 2, 3, 4], channels: 1) == nil)
    }

    // MARK: Of a network

    @Test func aFeatureMapsVectorIsItsMean() throws {
        let (explainer, input) = try AscentTests.load("small3d")
        let maps = try FeatureMaps.read(explainer, [input], layers: ["last-conv"], choice: .all)[0]
        let vector = try Embedder(explainer, layer: "last-conv").vector(of: input)
        #expect(zip(vector, maps.summaries).allSatisfy { abs($0 - $1.mean) < 1e-5 })
        #expect(try Embedder(explainer, layer: "logits").vector(of: input).count == 3)
    }

    static func pair() throws -> (embedder: Embedder, first: PreparedInput, second: PreparedInput) {
        let (explainer, first) = try AscentTests.load("small3d")
        var numbers = SeededNumbers(8)
        let second = PreparedInput(
            tensor: numbers.tensor(first.tensor.shape, 0...1), grid: first.grid, layout: first.layout)
        return (Embedder(explainer, layer: "last-conv"), first, second)
    }

    /// Over a layer that is only averaged, shares sum to the cosine, and the gradient's map to nothing.
    @Test func sharesSumToTheCosine() throws {
        let (embedder, first, second) = try Self.pair()
        let shares = try PairMaps(embedder, [first], [second], tap: "last-conv")
        let a = try embedder.vector(of: first)
        let b = try embedder.vector(of: second)
        let space = EmbeddingSpace(names: ["a", "b"], vectors: [a, b], labels: [nil, nil])
        #expect(abs(shares.cosine - space.cosines[0][1]) < 1e-9)
        let slopes = try PairMaps(embedder, [first], [second], tap: "last-conv", kind: .gradient)
        for number in 0..<2 {
            let sum = shares.maps[number].values.values.reduce(0.0) { $0 + Double($1) }
            #expect(abs(sum - shares.cosine) < 1e-5)
            #expect(abs(slopes.maps[number].values.values.reduce(0.0) { $0 + Double($1) }) < 1e-5)
        }
    }

    /// The gradient is that of the cosine: by finite differences over one channel of the layer before.
    @Test func theGradientIsTheCosines() throws {
        let (embedder, first, second) = try Self.pair()
        let network = embedder.explainer.network
        let tap = try network.tap("first-conv").tensor
        let layer = try network.tap("last-conv").tensor
        let inputs = embedder.explainer.allInputs(first)
        let recording = try network.record(inputs: inputs, targets: [layer], taps: [tap])
        let other = try embedder.vector(of: second)
        func cosine(_ factor: Float) throws -> Double {
            let before = try recording.tensor(tap)
            let scaled = Tensor(shape: before.shape, values: before.values.map { $0 * factor })
            guard case .float(let map)? = try recording.replay(replacing: [tap: scaled], wanting: [layer])[layer]
            else { return .nan }
            let places = map.count / map.shape[1]
            let vector = (0..<map.shape[1]).map { channel in
                map.values[channel * places..<(channel + 1) * places].reduce(0.0) { $0 + Double($1) } / Double(places)
            }
            return EmbeddingSpace(names: ["a", "b"], vectors: [vector, other], labels: [nil, nil]).cosines[0][1]
        }
        // Scaling the whole layer by 1 + h moves the cosine by h · Σ gradient ⊙ activation.
        let slope = (try cosine(1.01) - cosine(0.99)) / 0.02
        let map = try PairMaps(embedder, [first], [second], tap: "first-conv", kind: .gradient).maps[0]
        let sum = map.values.values.reduce(0.0) { $0 + Double($1) }
        #expect(abs(slope - sum) < 2e-3 * max(0.05, abs(sum)), "\(slope) \(sum)")
    }

    @Test func copiesAreAlikeButNotTheSame() throws {
        let (explainer, input) = try AscentTests.load("small3d")
        var random = RandomSource(seed: 1)
        let copy = try Embedder.augmented(input, explainer, using: &random)
        #expect(copy.tensor != input.tensor && copy.tensor.shape == input.tensor.shape)
        let (low, high) = (input.tensor.values.min()!, input.tensor.values.max()!)
        #expect(copy.tensor.values.allSatisfy { $0 >= low && $0 <= high })
        var same = RandomSource(seed: 1)
        #expect(try Embedder.augmented(input, explainer, using: &same).tensor == copy.tensor)
    }
}
