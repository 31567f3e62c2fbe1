// Whether H.264 is coded so that it may hold fields: `frame_mbs_only_flag` of its sequence parameter set.
// WebCodecs hands two fields out as one frame, and does not say so. Source: ITU-T H.264, 7.3.2.1.1.

const SEQUENCE_PARAMETERS = 7; // type of a NAL unit
const WITH_CHROMA_FORMAT = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]); // profiles

/** Whether a stream may hold fields, by its `avcC` box or, where there is none, its first packet. */
export function mayHoldFields(box, packet) {
  const unit = box ? fromConfiguration(box) : fromStartCodes(packet);
  return unit !== null && !isFramesOnly(withoutEmulation(unit));
}

/** The first sequence parameter set of an `avcC` box: six bytes, then a length and the unit. */
function fromConfiguration(bytes) {
  const count = bytes[5] & 31;
  return count ? bytes.subarray(8, 8 + (bytes[6] << 8) + bytes[7]) : null;
}

/** The first sequence parameter set among units that start with 0, 0, 1. */
function fromStartCodes(bytes) {
  for (let k = 0; k + 3 < bytes.length; k += 1) {
    if (bytes[k] || bytes[k + 1] || bytes[k + 2] !== 1 || (bytes[k + 3] & 31) !== SEQUENCE_PARAMETERS) continue;
    return bytes.subarray(k + 3); // what follows the set is not read
  }
  return null;
}

/** Bytes without each 3 after two zeros, which keeps start codes out. */
function withoutEmulation(bytes) {
  return bytes.filter((byte, k) => !(byte === 3 && k > 1 && !bytes[k - 1] && !bytes[k - 2]));
}

function isFramesOnly(bytes) {
  let place = 32; // bits: after the unit's header, profile, constraints and level
  const bit = () => (bytes[place >> 3] >> (7 - (place++ & 7))) & 1;
  const number = () => { // ue(v) of 9.1: as many bits after the first 1 as there are zeros before it
    let zeros = 0;
    while (!bit() && zeros < 32) zeros += 1;
    let value = 1;
    for (let k = 0; k < zeros; k += 1) value = 2 * value + bit();
    return value - 1;
  };
  const signed = () => { const value = number(); return value % 2 ? (value + 1) / 2 : -value / 2; };
  number(); // seq_parameter_set_id
  if (WITH_CHROMA_FORMAT.has(bytes[1])) {
    const chroma = number();
    if (chroma === 3) bit();
    number(); // bit depths
    number();
    bit();
    const lists = bit() ? (chroma === 3 ? 12 : 8) : 0;
    for (let list = 0; list < lists; list += 1) {
      if (bit()) skipScaling(list < 6 ? 16 : 64, signed);
    }
  }
  number(); // log2_max_frame_num_minus4
  const order = number();
  if (order === 0) number();
  if (order === 1) {
    bit();
    signed();
    signed();
    for (let left = number(); left > 0 && place < 8 * bytes.length; left -= 1) signed();
  }
  number(); // max_num_ref_frames
  bit();
  number(); // width and height
  number();
  return bit() === 1;
}

function skipScaling(size, signed) {
  let last = 8, next = 8;
  for (let k = 0; k < size; k += 1) {
    if (next) next = (last + signed() + 256) % 256;
    last = next || last;
  }
}
