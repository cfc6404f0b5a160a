/** A file as the kernel answers it to `export`. */
export interface ExportedFile {
  name: string;
  media_type: string;
  text: string;
}

export function isExportedFile(value: unknown): value is ExportedFile {
  const file = value as Partial<ExportedFile> | null;
  return (
    typeof file?.name === 'string' &&
    typeof file.media_type === 'string' &&
    typeof file.text === 'string'
  );
}

/** Hands the file to the user, as the browser does with downloads. */
export function download(file: ExportedFile): void {
  const url = URL.createObjectURL(new Blob([file.text], { type: file.media_type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = file.name;
  link.click();
  URL.revokeObjectURL(url);
}
