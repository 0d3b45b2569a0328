import Synchronization
import Tensors

/// A convolution and what follows it in one pass, in their places in the graph.
struct PlacedChain: Sendable {
    let chain: ConvolutionChain
    /// From the convolution to the last link.
    let nodes: [Int]
    /// The tensor that is added, if one is.
    let addend: Int?
}

/// What runs at once: a node, or a chain of them.
enum Stage: Sendable {
    case node(Int)
    case chain(PlacedChain)

    var nodes: [Int] {
        switch self {
        case .node(let index): [index]
        case .chain(let chain): chain.nodes
        }
    }
}

/// Chains that have been made, with their folded weights; nil for nodes that make none.
final class ChainBox: Sendable {
    private let made = Mutex<[[Int]: ConvolutionChain?]>([:])

    func chain(_ nodes: [Int], make: () -> ConvolutionChain?) -> ConvolutionChain? {
        if let known = made.withLock({ $0[nodes] }) { return known }
        let chain = make()
        return made.withLock { made in
            if let known = made[nodes] { return known }
            made[nodes] = .some(chain)
            return chain
        }
    }
}

extension Network {
    /// The nodes of a schedule in an order in which they can run, convolutions joined with what follows them where nobody
    /// asks for what lies between.
    ///
    /// - Parameters:
    ///   - uses: how often each tensor is read by nodes of the schedule.
    ///   - kept: tensors that must exist afterwards.
    func stages(of schedule: [Int], uses: [Int], kept: Set<Int>) -> [Stage] {
        let scheduled = Set(schedule)
        var taken: Set<Int> = []
        // By the last node, where a chain runs: by then everything that it reads has been computed.
        var chains: [Int: PlacedChain] = [:]
        // The last convolution before a sum joins it, so that the other's result waits, not its larger input.
        for index in schedule.reversed() where nodes[index].type == "Conv" && !taken.contains(index) {
            guard let placed = chain(from: index, scheduled, taken, uses: uses, kept: kept) else { continue }
            taken.formUnion(placed.nodes)
            chains[placed.nodes.last!] = placed
        }
        return schedule.compactMap { index in
            if let chain = chains[index] { return .chain(chain) }
            return taken.contains(index) ? nil : .node(index)
        }
    }

    private func chain(
        from head: Int, _ scheduled: Set<Int>, _ taken: Set<Int>, uses: [Int], kept: Set<Int>
    ) -> PlacedChain? {
        var chained = [head]
        var addend: Int?
        while let between = onlyOutput(of: nodes[chained.last!]), uses[between] == 1, !kept.contains(between),
            let next = consumers[between].first(where: scheduled.contains), !taken.contains(next),
            ConvolutionChain.canJoin(nodes[next].type), onlyOutput(of: nodes[next]) != nil
        {
            let node = nodes[next]
            // After a rectifier only a pool; beside an addend none.
            let isPool = node.type == "MaxPool"
            let last = nodes[chained.last!].type
            if isPool ? addend != nil : last == "Relu" || last == "LeakyRelu" { break }
            if isPool { return placed(chained + [next], nil) ?? placed(chained, nil) }
            switch node.type {
            case "Add":
                guard addend == nil, node.inputIDs.count == 2,
                    let other = node.inputIDs.first(where: { $0 != between }) ?? nil
                else { return placed(chained, addend) }
                addend = other
            case "BatchNormalization":
                guard chained.count == 1, node.inputIDs[0] == between else { return placed(chained, addend) }
            default: break
            }
            chained.append(next)
        }
        return placed(chained, addend)
    }

    private func placed(_ chained: [Int], _ addend: Int?) -> PlacedChain? {
        guard chained.count > 1 else { return nil }
        func constants(_ node: Node) -> [Value?] { node.inputIDs.map { $0.flatMap { constantValues[$0] } } }
        let chain = chains.chain(chained) {
            ConvolutionChain(
                nodes[chained[0]].operation, constants: constants(nodes[chained[0]]),
                links: chained.dropFirst().map { (nodes[$0].operation, constants(nodes[$0])) })
        }
        return chain.map { PlacedChain(chain: $0, nodes: chained, addend: addend) }
    }

    /// The output of a node that has one.
    private func onlyOutput(of node: Node) -> Int? {
        let outputs = node.outputIDs.compactMap { $0 }
        return outputs.count == 1 ? node.outputIDs[0] : nil
    }
}
