#include "tests/support/fragments.h"

#include <algorithm>
#include <utility>

#include "tests/support/put.h"

namespace swnat::test {
namespace {

constexpr std::uint8_t fragment_kind = 44;

bool is_v6(View packet) {
  return packet[0] >> 4 == 6;
}

Bytes part_of(const Bytes& bytes, std::size_t first, std::size_t size) {
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(first);
  return Bytes(begin, begin + static_cast<std::ptrdiff_t>(std::min(size, bytes.size() - first)));
}

// Where the fragmented part begins: behind the fragment header, if there is one.
std::size_t header_size(View packet) {
  return transport_offset(packet);
}

Bytes piece4(const Bytes& packet, std::size_t headers, std::size_t offset, std::size_t size) {
  Bytes piece = part_of(packet, 0, headers);
  append(piece, part_of(packet, headers + offset, size));
  const bool more = headers + offset + size < packet.size();
  set_word(piece, 2, static_cast<std::uint32_t>(piece.size()));
  set_word(piece, 6, static_cast<std::uint32_t>(offset / 8 | (more ? 0x2000 : 0)));
  return header_summed(std::move(piece));
}

// The last next-header field before what stands at `end`.
std::size_t next_header_field(View packet, std::size_t end) {
  std::size_t field = 6;
  for (std::size_t at = 40; at < end; at += std::size_t{8} * (1 + packet[at + 1])) field = at;
  return field;
}

Bytes piece6(const Bytes& packet, std::size_t headers, std::size_t offset, std::size_t size,
             std::uint32_t identification) {
  Bytes piece = part_of(packet, 0, headers);
  const bool more = headers + offset + size < packet.size();
  const std::size_t field = next_header_field(packet, headers);
  put8(piece, packet[field]);
  append(piece,
         fragment_header(static_cast<std::uint16_t>(offset | (more ? 1 : 0)), identification).rest);
  append(piece, part_of(packet, headers + offset, size));
  set_word(piece, 4, static_cast<std::uint32_t>(piece.size() - 40));
  piece[field] = fragment_kind;
  return piece;
}

bool belong_together(const Bytes& a, const Bytes& b) {
  const std::size_t addresses = is_v6(a) ? 8 : 12;
  const std::size_t size = is_v6(a) ? 32 : 8;
  return part_of(a, addresses, size) == part_of(b, addresses, size) &&
         protocol_of(a) == protocol_of(b) && identification_of(a) == identification_of(b);
}

// The offset of the fragment header, or 0.
std::size_t fragment_header_of(View packet) {
  std::uint8_t kind = packet[6];
  std::size_t at = 40;
  while (kind == 0 || kind == 43 || kind == 60) {
    kind = packet[at];
    at += std::size_t{8} * (1 + packet[at + 1]);
  }
  return kind == fragment_kind ? at : 0;
}

Bytes without_fragmentation(Bytes first, const Bytes& data) {
  const std::size_t at = is_v6(first) ? fragment_header_of(first) : header_size(first);
  Bytes whole = part_of(first, 0, at);
  append(whole, data);
  if (!is_v6(first)) {
    set_word(whole, 2, static_cast<std::uint32_t>(whole.size()));
    set_word(whole, 6, 0);
    return header_summed(std::move(whole));
  }
  set_word(whole, 4, static_cast<std::uint32_t>(whole.size() - 40));
  whole[next_header_field(first, at)] = first[at];
  return whole;
}

}  // namespace

std::vector<Bytes> fragments_of(const Bytes& packet, std::size_t size,
                                std::uint32_t identification) {
  return fragments_behind(packet, header_size(packet), size, identification);
}

std::vector<Bytes> fragments_behind(const Bytes& packet, std::size_t headers, std::size_t size,
                                    std::uint32_t identification) {
  std::vector<Bytes> pieces;
  for (std::size_t offset = 0; headers + offset < packet.size(); offset += size) {
    pieces.push_back(is_v6(packet) ? piece6(packet, headers, offset, size, identification)
                                   : piece4(packet, headers, offset, size));
  }
  return pieces;
}

Bytes joined(std::vector<Bytes> pieces) {
  std::ranges::sort(pieces, {}, [](const Bytes& piece) { return fragment_offset_of(piece); });
  Bytes data;
  for (const Bytes& piece : pieces) {
    const bool is_last = &piece == &pieces.back();
    if (!belong_together(piece, pieces.front()) || fragment_offset_of(piece) != data.size() ||
        has_more_fragments(piece) == is_last || !header_checksum_is_right(piece)) {
      return {};
    }
    append(data, part_of(piece, header_size(piece), piece.size()));
  }
  return without_fragmentation(pieces.front(), data);
}

std::uint32_t identification_of(View packet) {
  if (!is_v6(packet)) return word_at(packet, 4);
  const std::size_t at = fragment_header_of(packet);
  if (at == 0) return 0;
  return std::uint32_t{word_at(packet, at + 4)} << 16 | word_at(packet, at + 6);
}

std::size_t fragment_offset_of(View packet) {
  if (!is_v6(packet)) return std::size_t{8} * (word_at(packet, 6) & 0x1fff);
  const std::size_t at = fragment_header_of(packet);
  return at == 0 ? 0 : word_at(packet, at + 2) & 0xfff8;
}

bool has_more_fragments(View packet) {
  if (!is_v6(packet)) return (word_at(packet, 6) & 0x2000) != 0;
  const std::size_t at = fragment_header_of(packet);
  return at != 0 && (packet[at + 3] & 1) != 0;
}

}  // namespace swnat::test
