// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/call_tree.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "user/analysis/frame_places.h"

namespace alloctrail {
namespace {

constexpr uint32_t kRoot = 0;

// A node while the tree grows. Node kRoot stands above all roots.
struct Growing {
  CallNode node;
  Amount before;
  std::vector<uint32_t> callees;
  bool kept = false;
};

bool holds_more(Amount a, Amount b) { return std::pair(a.bytes, a.blocks) > std::pair(b.bytes, b.blocks); }

class TreeBuilder {
 public:
  TreeBuilder(const HeldStacks& now, FrameChoice choice) : now_(now), choice_(choice), places_(choice), nodes_(1) {}

  CallTree build(const HeldStacks* before, std::optional<size_t> top) {
    for (uint32_t i = 0; i < now_.stacks.size(); ++i) add(i);
    if (before != nullptr) {
      for (uint32_t i = 0; i < before->stacks.size(); ++i) add_before(before->stacks[i], before->amounts[i]);
      for (Growing& one : nodes_) one.node.change = change(one.node.total, one.before);
    }
    put_in_order();
    keep(top);
    write();
    return std::move(tree_);
  }

 private:
  /// The frames to show, outermost first.
  std::vector<uint32_t> path(const Stack& stack) const {
    std::vector<uint32_t> frames = shown_frames(stack, choice_);
    std::reverse(frames.begin(), frames.end());
    return frames;
  }

  using Edge = std::tuple<uint32_t, at_stack_status, uint64_t>;  // caller, how the stack ended, place

  Edge edge(uint32_t caller, const Stack& stack, uint32_t frame) {
    return {caller, stack.status, places_.number(stack.frames[frame])};
  }

  void add(uint32_t index) {
    const Amount amount = now_.amounts[index];
    if (amount == Amount{}) return;
    const Stack& stack = now_.stacks[index];
    const std::vector<uint32_t> frames = path(stack);
    if (frames.empty()) tree_.frameless += amount;
    uint32_t at = kRoot;
    for (uint32_t depth = 0; depth < frames.size(); ++depth) {
      at = callee(at, index, frames[depth], depth);
      nodes_[at].node.total += amount;
    }
    if (at != kRoot) nodes_[at].node.own += amount;
  }

  uint32_t callee(uint32_t caller, uint32_t stack, uint32_t frame, uint32_t depth) {
    const auto next = static_cast<uint32_t>(nodes_.size());
    const auto [found, is_new] = edges_.try_emplace(edge(caller, now_.stacks[stack], frame), next);
    if (is_new) {
      Growing& one = nodes_.emplace_back();
      one.node.depth = depth;
      one.node.stack = stack;
      one.node.frame = frame;
      one.node.status = now_.stacks[stack].status;
      nodes_[caller].callees.push_back(next);
    }
    return found->second;
  }

  void add_before(const Stack& stack, Amount amount) {
    uint32_t at = kRoot;
    for (const uint32_t frame : path(stack)) {
      const auto found = edges_.find(edge(at, stack, frame));
      if (found == edges_.end()) return;
      at = found->second;
      nodes_[at].before += amount;
    }
  }

  auto name_of(uint32_t node) const {
    const CallNode& one = nodes_[node].node;
    const Frame& frame = now_.stacks[one.stack].frames[one.frame];
    return std::tie(frame.function, frame.file, frame.line, frame.module, frame.module_offset, one.status);
  }

  void put_in_order() {
    for (Growing& one : nodes_)
      std::sort(one.callees.begin(), one.callees.end(), [this](uint32_t a, uint32_t b) {
        const Amount left = nodes_[a].node.total;
        const Amount right = nodes_[b].node.total;
        return left == right ? name_of(a) < name_of(b) : holds_more(left, right);
      });
    std::vector<uint32_t> open = {kRoot};
    while (!open.empty()) {
      const uint32_t at = open.back();
      open.pop_back();
      order_.push_back(at);
      open.insert(open.end(), nodes_[at].callees.rbegin(), nodes_[at].callees.rend());
    }
  }

  void keep(std::optional<size_t> top) {
    std::vector<uint32_t> ends;
    for (const uint32_t node : order_)
      if (nodes_[node].node.own != Amount{}) ends.push_back(node);
    std::stable_sort(ends.begin(), ends.end(), [this](uint32_t a, uint32_t b) {
      return holds_more(nodes_[a].node.own, nodes_[b].node.own);
    });
    ends.resize(std::min(top.value_or(ends.size()), ends.size()));
    for (const uint32_t node : ends) nodes_[node].kept = true;
    // A caller comes before its callees, so from the back every node's callees are decided before it.
    for (auto at = order_.rbegin(); at != order_.rend(); ++at)
      for (const uint32_t callee : nodes_[*at].callees) nodes_[*at].kept |= nodes_[callee].kept;
  }

  void write() {
    for (const uint32_t at : order_) {
      Growing& one = nodes_[at];
      for (const uint32_t callee : one.callees) {
        if (nodes_[callee].kept) continue;
        ++one.node.left_out_calls;
        one.node.left_out += nodes_[callee].node.total;
      }
      if (at != kRoot && one.kept) tree_.nodes.push_back(one.node);
    }
    tree_.left_out_roots = nodes_[kRoot].node.left_out_calls;
    tree_.left_out = nodes_[kRoot].node.left_out;
  }

  const HeldStacks& now_;
  FrameChoice choice_;
  FramePlaces places_;
  std::vector<Growing> nodes_;
  std::map<Edge, uint32_t> edges_;
  std::vector<uint32_t> order_;  // every caller before its callees
  CallTree tree_;
};

}  // namespace

CallTree call_tree(const HeldStacks& now, const HeldStacks* before, FrameChoice choice, std::optional<size_t> top) {
  return TreeBuilder(now, choice).build(before, top);
}

}  // namespace alloctrail
