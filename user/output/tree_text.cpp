// SPDX-License-Identifier: Apache-2.0
// The call tree of the text report. Only where callees part do lines move to the right: a deep stack stays readable.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "user/output/frame_text.h"
#include "user/output/report_text_parts.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

// What is drawn before a callee that has siblings, and before what hangs from it.
struct Branch {
  const char* last;
  const char* other;
  const char* below_last;
  const char* below_other;
};
constexpr Branch kLines = {"└ ", "├ ", "  ", "│ "};
constexpr Branch kAscii = {"` ", "+ ", "  ", "| "};

struct Row {
  std::string bytes;
  std::string share;
  std::string change;
};

class TreeLines {
 public:
  TreeLines(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style)
      : snapshot_(snapshot), view_(view), style_(style), tree_(*view.call_tree),
        branch_(style.text.charset == Charset::Ascii ? kAscii : kLines),
        all_bytes_(view.ranked(view.totals.usage).bytes) {}

  std::string str() {
    count_rows();
    const size_t end = tree_.nodes.size();
    const bool more = tree_.left_out_roots > 0 || tree_.frameless != Amount{};
    const bool alone = !more && end > 0 && subtree_end(0, end) == end;
    for (size_t at = 0; at < end;) {
      const bool last = subtree_end(at, end) == end && !more;
      at = alone ? subtree(at, end, "", "") : branch(at, end, "", last);
    }
    if (tree_.left_out_roots > 0)
      add_left_out(tree_.left_out, tree_.left_out_roots,
                   tree_.frameless != Amount{} ? branch_.other : branch_.last);
    if (tree_.frameless != Amount{})
      add(row(tree_.frameless, std::nullopt), branch_.last, nullptr, "(stacks without frames)");
    return frame_lines(lines_, view_.frames, style_.text);
  }

 private:
  Row row(Amount amount, const std::optional<Change>& change) const {
    const double share =
        all_bytes_ > 0 ? static_cast<double>(amount.bytes) / static_cast<double>(all_bytes_) : 0;
    return {bytes_text(amount.bytes, style_), format_share(share),
            change ? change->bytes == 0 ? "0" : change_text(change->bytes, style_) : ""};
  }

  void count_rows() {
    const auto widen = [&](const Row& one) {
      widths_[0] = std::max(widths_[0], one.bytes.size());
      widths_[1] = std::max(widths_[1], one.share.size());
      widths_[2] = std::max(widths_[2], one.change.size());
    };
    for (const CallNode& node : tree_.nodes) {
      widen(row(node.total, node.change));
      widen(row(node.left_out, std::nullopt));
    }
    widen(row(tree_.left_out, std::nullopt));
    widen(row(tree_.frameless, std::nullopt));
  }

  void add(const Row& row, const std::string& drawing, const Frame* frame, std::string note) {
    std::string lead = fmt::format("{:>{}}  {:>{}}  ", row.bytes, widths_[0], row.share, widths_[1]);
    if (widths_[2] > 0) lead += fmt::format("{:>{}}  ", row.change, widths_[2]);
    lines_.push_back({lead + drawing, frame, std::move(note)});
  }

  void add_left_out(Amount amount, uint32_t calls, const std::string& drawing) {
    add(row(amount, std::nullopt), drawing, nullptr,
        fmt::format("{} {} more call{}", ellipsis(style_.text.charset), format_count(calls), calls == 1 ? "" : "s"));
  }

  // Where the subtree of node `at` ends; `end` is where its caller's does.
  size_t subtree_end(size_t at, size_t end) const {
    const uint32_t depth = tree_.nodes[at].depth;
    do ++at;
    while (at < end && tree_.nodes[at].depth > depth);
    return at;
  }

  // Draws node `at` and all below it; returns where it ends. `first` is drawn before it, `below` before all that follows.
  size_t subtree(size_t at, size_t end, std::string first, std::string below) {
    end = subtree_end(at, end);
    std::string drawing = std::move(first);
    while (true) {  // down a row of only callees
      const CallNode& node = tree_.nodes[at];
      if (node.depth == 0 && !is_expected(node.status)) {
        add(row(node.total, node.change), drawing, nullptr,
            fmt::format("(callers unknown: {})", status_sentence(node.status)));
        drawing = below;
      }
      add(row(node.total, node.change), drawing, &frame_of(node), "");
      const size_t next = at + 1;
      const bool left_out = node.left_out_calls > 0;
      const bool alone = next < end && subtree_end(next, end) == end && !left_out && node.own == Amount{};
      if (!alone) break;
      at = next;
      drawing = below;
    }
    callees(tree_.nodes[at], at + 1, end, below);
    return end;
  }

  // Draws one of several that hang from the same caller; `before` is drawn before all of them.
  size_t branch(size_t at, size_t end, const std::string& before, bool last) {
    return subtree(at, end, before + (last ? branch_.last : branch_.other),
                   before + (last ? branch_.below_last : branch_.below_other));
  }

  void callees(const CallNode& node, size_t at, size_t end, const std::string& below) {
    if (node.own != Amount{} && (at < end || node.left_out_calls > 0))
      add(row(node.own, std::nullopt), below + branch_.other, nullptr, "(allocated here)");
    while (at < end) at = branch(at, end, below, subtree_end(at, end) == end && node.left_out_calls == 0);
    if (node.left_out_calls > 0) add_left_out(node.left_out, node.left_out_calls, below + branch_.last);
  }

  const Frame& frame_of(const CallNode& node) const { return snapshot_.stacks[node.stack].frames[node.frame]; }

  const Snapshot& snapshot_;
  const ReportView& view_;
  const ReportStyle& style_;
  const CallTree& tree_;
  Branch branch_;
  uint64_t all_bytes_;
  size_t widths_[3] = {0, 0, 0};
  std::vector<FrameLine> lines_;
};

}  // namespace

std::string call_tree_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  const std::string title = TextLine(style.text).add("CALL TREE by " + ranked_words(snapshot, view), Look::Heading).str();
  const std::string text = TreeLines(snapshot, view, style).str();
  return title + (text.empty() ? "nothing is outstanding\n" : text);
}

}  // namespace alloctrail
