/// A dense array in row-major (C) order: the last axis varies fastest.
///
/// Shapes follow the field: `[batch, channels, depth, height, width]` for a 3D feature map, `[batch, channels, height, width]`
/// for a 2D one. A scalar has the empty shape and one element. Value semantics; the storage is shared until written.
public struct Tensor<Scalar: Sendable>: @unchecked Sendable {
    public let shape: [Int]
    private var storage: TensorStorage<Scalar>

    /// Number of elements: the product of the shape.
    public var count: Int { storage.count }
    public var rank: Int { shape.count }

    /// A tensor whose elements `fill` must initialize, every one.
    public init(shape: [Int], initializingWith fill: (UnsafeMutableBufferPointer<Scalar>) throws -> Void) rethrows {
        let storage = TensorStorage<Scalar>(count: shape.elementCount)
        try fill(UnsafeMutableBufferPointer(start: storage.base, count: storage.count))
        self.shape = shape
        self.storage = storage
    }

    public init(shape: [Int], repeating value: Scalar) {
        self.init(shape: shape) { $0.initialize(repeating: value) }
    }

    /// - Precondition: `values` has as many elements as `shape` asks for.
    public init(shape: [Int], values: some Collection<Scalar>) {
        precondition(values.count == shape.elementCount, "\(values.count) values for shape \(shape)")
        self.init(shape: shape) { _ = $0.initialize(from: values) }
    }

    /// A tensor over memory that `owner` keeps alive and that nobody changes: mapped weights, for example.
    public init(shape: [Int], borrowing base: UnsafePointer<Scalar>, ownedBy owner: AnyObject) {
        self.shape = shape
        storage = TensorStorage(borrowing: base, count: shape.elementCount, owner: owner)
    }

    private init(shape: [Int], storage: TensorStorage<Scalar>) {
        self.shape = shape
        self.storage = storage
    }

    /// The same elements under another shape of the same count; nothing is copied.
    public func reshaped(_ shape: [Int]) -> Tensor {
        precondition(shape.elementCount == count, "\(self.shape) cannot become \(shape)")
        return Tensor(shape: shape, storage: storage)
    }

    public func withUnsafeBuffer<Result>(_ body: (UnsafeBufferPointer<Scalar>) throws -> Result) rethrows -> Result {
        try withExtendedLifetime(storage) {
            try body(UnsafeBufferPointer(start: storage.base, count: storage.count))
        }
    }

    public mutating func withUnsafeMutableBuffer<Result>(
        _ body: (UnsafeMutableBufferPointer<Scalar>) throws -> Result
    ) rethrows -> Result {
        if !isKnownUniquelyReferenced(&storage) || storage.isBorrowed {
            storage = storage.copy()
        }
        return try body(UnsafeMutableBufferPointer(start: storage.base, count: storage.count))
    }

    /// Names the storage while the tensor lives: equal for tensors that share it, so for what is derived from constant
    /// weights once and kept. Whoever keeps an identity must keep the tensor too.
    public var identity: ObjectIdentifier { ObjectIdentifier(storage) }

    /// The elements in row-major order.
    public var values: [Scalar] { withUnsafeBuffer { Array($0) } }

    /// One element by its flat row-major index.
    public subscript(flat index: Int) -> Scalar {
        precondition(index >= 0 && index < count)
        return storage.base[index]
    }

    /// One element by its index on every axis.
    public subscript(indices: Int...) -> Scalar {
        precondition(indices.count == rank)
        var flat = 0
        for (index, extent) in zip(indices, shape) {
            precondition(index >= 0 && index < extent)
            flat = flat * extent + index
        }
        return storage.base[flat]
    }
}

extension Tensor: Equatable where Scalar: Equatable {
    public static func == (a: Tensor, b: Tensor) -> Bool {
        a.shape == b.shape && a.withUnsafeBuffer { x in b.withUnsafeBuffer { y in x.elementsEqual(y) } }
    }
}

extension [Int] {
    /// Elements of a tensor of this shape; 1 for a scalar's empty shape.
    public var elementCount: Int { reduce(1, *) }

    /// Row-major strides, in elements, of a dense tensor of this shape.
    public var rowMajorStrides: [Int] {
        var strides = [Int](repeating: 1, count: count)
        var running = 1
        for axis in indices.reversed() {
            strides[axis] = running
            running *= self[axis]
        }
        return strides
    }
}

/// 64-byte aligned memory of trivial elements, so that vector loads never straddle a cache line.
private final class TensorStorage<Scalar>: @unchecked Sendable {
    let base: UnsafeMutablePointer<Scalar>
    let count: Int
    private let owner: AnyObject?
    /// The memory itself where it is large and to be used again.
    private let block: TensorMemory.Block?
    var isBorrowed: Bool { owner != nil }

    init(count: Int) {
        precondition(_isPOD(Scalar.self), "tensors hold trivial elements")
        precondition(count >= 0, "a negative extent")
        let bytes = max(64, count * MemoryLayout<Scalar>.stride)
        block = bytes >= TensorMemory.threshold ? TensorMemory.shared.take(bytes) : nil
        let memory = block?.base ?? UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        base = memory.bindMemory(to: Scalar.self, capacity: max(1, count))
        self.count = count
        owner = nil
    }

    init(borrowing base: UnsafePointer<Scalar>, count: Int, owner: AnyObject) {
        self.base = UnsafeMutablePointer(mutating: base)
        self.count = count
        self.owner = owner
        block = nil
    }

    func copy() -> TensorStorage {
        let other = TensorStorage(count: count)
        other.base.initialize(from: base, count: count)
        return other
    }

    deinit {
        if let block {
            TensorMemory.shared.giveBack(block)
        } else if owner == nil {
            UnsafeMutableRawPointer(base).deallocate()
        }
    }
}
