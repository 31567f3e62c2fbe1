// IVF: VP8, VP9 or AV1 frames, each after its length.

const CODECS = { VP80: "vp8", VP90: "vp09.00.10.08", AV01: "av01.0.08M.08" };

/** Whether a file begins as IVF does. */
export async function isIvf(file) {
  return new TextDecoder("latin1").decode(await file.slice(0, 4).arrayBuffer()) === "DKIF";
}

/** Opens an IVF file as coded samples for WebCodecs. */
export async function openIvf(file) {
  const head = new DataView(await file.slice(0, 32).arrayBuffer());
  if (head.byteLength < 32) throw new Error(`${file.name}: is cut in its header; get the whole file.`);
  const fourcc = String.fromCharCode(...[8, 9, 10, 11].map((at) => head.getUint8(at)));
  const codec = CODECS[fourcc];
  if (!codec) throw new Error(`${file.name}: holds ${fourcc}, not VP8, VP9 or AV1.`);

  async function* chunks() {
    let at = head.getUint16(6, true);
    for (let number = 0; at < file.size; number += 1) {
      const line = await file.slice(at, at + 12).arrayBuffer();
      const length = line.byteLength === 12 ? new DataView(line).getUint32(0, true) : Infinity;
      at += 12;
      if (at + length > file.size) throw new Error(`it ends in the middle of frame ${number}`);
      const data = await file.slice(at, at + length).arrayBuffer();
      yield { type: number ? "delta" : "key", timestamp: number * 1000, data };
      at += length;
    }
  }

  return { name: file.name, config: { codec }, count: head.getUint32(24, true), chunks };
}
